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

/// As the kernel names this machine.
public var nodeName: String {
    var names = utsname()
    uname(&names)
    return withUnsafeBytes(of: names.nodename) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

extension String {
    /// For standard error: what `program` says, and each hint in it on a line that names the program too.
    public func said(by program: String) -> String {
        "\(program): \(self)\n".replacing("\nhint: ", with: "\n\(program): hint: ").shownFileName
    }
}
