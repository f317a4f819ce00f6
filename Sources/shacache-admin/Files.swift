import Foundation

/// Why a command could not do what it was asked to.
struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Prints data: unlike `print`, it says when that fails, or a script would take a part for the whole.
func output(_ text: String, terminator: String = "\n") throws {
    do {
        try FileHandle.standardOutput.write(contentsOf: Data((text + terminator).utf8))
    } catch let error as CocoaError {
        let code = (error.underlying as NSError?)?.code ?? Int(EIO)
        throw Failure("standard output: \(String(cString: strerror(CInt(code))))")
    }
}

func contents(of path: String) throws -> [UInt8] {
    guard let data = FileManager.default.contents(atPath: path) else { throw Failure("\(path): can't be read") }
    return [UInt8](data)
}

/// Makes a directory for its owner alone, unless it is there.
func makePrivateDirectory(_ path: String) throws {
    guard mkdir(path, 0o700) != 0, errno != EEXIST else { return }
    throw Failure("\(path): \(String(cString: strerror(errno)))")
}

/// Writes new files, all or none, and never over an old one: it may hold the only copy of a key.
///
/// A mode of 0o600 holds from the first byte on.
func writeNew(_ files: [(contents: [UInt8], path: String, mode: mode_t)]) throws {
    var made: [String] = []
    do {
        for (contents, path, mode) in files {
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode)
            let code = errno
            guard descriptor >= 0 else { throw Failure("\(path): \(String(cString: strerror(code)))") }
            made.append(path)
            let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
            try file.write(contentsOf: Data(contents))
            try file.synchronize()
        }
    } catch {
        for path in made { unlink(path) }
        throw error
    }
}
