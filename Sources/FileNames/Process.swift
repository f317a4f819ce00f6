import Glibc

/// The words that the program was started with, the first one its own name. `CommandLine.arguments` would repair
/// bytes that are no UTF-8, and so name other files.
public let processArguments: [String] = (0..<Int(CommandLine.argc)).compactMap { index in
    CommandLine.unsafeArgv[index].map { String(fileName: $0) }
}

/// - Returns: nil when the variable isn't set, or empty.
public func environmentVariable(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(fileName: value)
}

/// Why a file can't be read.
public struct UnreadableFile: Error, CustomStringConvertible {
    public let description: String

    fileprivate init(_ path: String) { description = "\(path): \(String(cString: strerror(errno)))" }
}

/// - Throws: `UnreadableFile`.
public func contents(ofFile path: String) throws(UnreadableFile) -> [UInt8] {
    guard let file = path.withFileName({ fopen($0, "re") }) else { throw UnreadableFile(path) }
    defer { fclose(file) }
    var contents: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    while case let count = fread(&piece, 1, piece.count, file), count > 0 { contents += piece[..<count] }
    guard ferror(file) == 0 else { throw UnreadableFile(path) }
    return contents
}
