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

/// Why a system call failed, as messages here have it: `no such file or directory`.
///
/// - Parameter code: nil for that of the call that has just failed.
public func systemReason(_ code: Int32? = nil) -> String {
    let words = String(cString: strerror(code ?? errno))
    return words.prefix(1).lowercased() + words.dropFirst()
}

extension String {
    /// For standard error: what `program` says, and each hint in it on a line that names the program too.
    public func said(by program: String) -> String {
        "\(program): \(self)\n".replacing("\nhint: ", with: "\n\(program): hint: ").shownFileName
    }
}

/// Why a file can't be read.
public struct UnreadableFile: Error, CustomStringConvertible {
    public let description: String

    fileprivate init(_ path: String) { description = "\(path): \(systemReason())" }
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
