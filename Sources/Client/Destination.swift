import Glibc
import ShaCache

/// Where a blob goes when it is whole and right.
public enum Destination: Sendable {
    /// Appears under its name at once, in place of what was there.
    case file(String)
    /// A pipe, a terminal, `/dev/null`.
    case stream(Int32)

    /// - Parameter path: nil, and `-`, are standard output.
    public init(_ path: String?) throws {
        guard let path, path != "-" else {
            self = .stream(STDOUT_FILENO)
            return
        }
        var status = stat()
        switch stat(path, &status) == 0 ? status.st_mode & S_IFMT : S_IFREG {
        case S_IFDIR: throw Misuse("\(path): is a directory", hint: "name the file to write")
        case S_IFREG: self = .file(path)
        default: self = .stream(try system(path) { open(path, O_WRONLY | O_CLOEXEC) })
        }
    }
}
