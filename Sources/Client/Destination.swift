import CLinux
import Glibc
import ShaCache
import System

/// Where a blob goes when it is complete and verified.
public enum Destination: Sendable {
    /// Appears under its name at once, in place of what was there, unless that can't be replaced; `PartialDownload`
    /// says when. The name leads through no link.
    case file(String)
    /// A pipe, a terminal, `/dev/null`, or a file that this process was given open: written from its position on.
    case stream(Int32)

    /// As many as the kernel follows.
    private static let linkLimit = 40

    /// - Parameter path: nil, and `-`, are standard output. Links are followed to what they lead to, there or not.
    /// - Throws: `UsageError`, `SystemError` when nothing can be written there.
    public init(_ path: String?) throws {
        guard let path, path != "-" else {
            self = .stream(STDOUT_FILENO)
            return
        }
        guard !path.isEmpty else { throw UsageError("the name of the file to write is empty") }
        var place = path
        for _ in 0...Self.linkLimit {
            switch try Self.step(from: place) {
            case .arrived(let destination):
                self = destination
                return
            case .link(let target): place = target
            }
        }
        throw SystemError("look at", path, errno: ELOOP)
    }

    private enum Resolution {
        case arrived(Destination)
        case link(String)
    }

    private static func step(from path: String) throws -> Resolution {
        if let descriptor = try ownDescriptor(path) { return .arrived(.stream(descriptor)) }
        guard let status = try existing(path) else {
            try checkDirectory(of: path)
            return .arrived(.file(path))
        }
        switch status.kind {
        case S_IFDIR: throw UsageError("\(path): is a directory", hint: "name the file to write")
        case S_IFSOCK: throw UsageError("\(path): is a socket", hint: "name a file, or a pipe that leads to the socket")
        case S_IFREG:
            try checkPlanted(path, status)
            // A read-only file is left alone, as curl and cp leave it.
            try checkAccess(path, W_OK, as: path)
            return .arrived(.file(path))
        case S_IFLNK:
            // Another process's open file: the target of its link may be no path at all.
            if processDirectory(of: path) != nil { return .arrived(.stream(try open(path, O_APPEND))) }
            return .link(try target(of: path, status))
        default:
            try checkPlanted(path, status)
            return .arrived(.stream(try open(path, 0)))
        }
    }

    /// - Returns: nil when nothing is there.
    private static func existing(_ path: String) throws -> stat? {
        var status = stat()
        guard path.withFileName({ lstat($0, &status) }) != 0 else { return status }
        guard errno == ENOENT else { throw SystemError("look at", path) }
        guard !path.hasSuffix("/") else { throw UsageError("\(path): is no file", hint: "name the file to write") }
        return nil
    }

    /// Says before anything is fetched that nothing can be made there.
    private static func checkDirectory(of path: String) throws {
        let directory = path.parentDirectory
        try checkAccess(directory, W_OK | X_OK, as: path)
    }

    private static func checkAccess(_ path: String, _ mode: Int32, as named: String) throws {
        let result = path.withFileName { faccessat(AT_FDCWD, $0, mode, AT_EACCESS) }
        guard result == 0 else { throw SystemError("write", named) }
    }

    private static func open(_ path: String, _ flags: Int32) throws -> Int32 {
        try systemCall("open", path: path) { Glibc.open($0, O_WRONLY | O_NOCTTY | O_CLOEXEC | flags) }
    }

    private static func target(of path: String, _ link: stat) throws -> String {
        try checkPlanted(path, link)
        let text = try linkTarget(path)
        return text.utf8.first == UInt8(ascii: "/") ? text : path.directoryPrefix + text
    }

    /// - Parameter status: of what is there, itself.
    /// - Throws: `UsageError` where the kernel would refuse a write to another user's file (protected_symlinks,
    ///   protected_regular and protected_fifos in proc(5)): in a world-writable directory, any user could have planted
    ///   it to have us write elsewhere, or to own what we write.
    static func checkPlanted(_ path: String, _ status: stat) throws {
        let directory = try fileStatus(path.parentDirectory)
        let isEverybodys = directory.st_mode & (S_ISVTX | S_IWOTH) == S_ISVTX | S_IWOTH
        guard isEverybodys, ![geteuid(), directory.st_uid].contains(status.st_uid) else { return }
        let kind = [S_IFLNK: "link", S_IFREG: "file", S_IFIFO: "fifo"][status.kind] ?? "device"
        throw UsageError("\(path): somebody else's \(kind) in a directory where everybody may write")
    }

    // MARK: Open files

    /// The descriptor that a name like `/dev/stdout` or `/proc/self/fd/3` means. The file behind it isn't opened
    /// anew: that would begin at its start, even when it was opened to be appended to, and as root replace the device.
    private static func ownDescriptor(_ path: String) throws -> Int32? {
        guard let descriptor = Int32(path.lastPathComponent), let directory = processDirectory(of: path),
            let own = try? realPath("/proc/self"), directory == "\(own)/fd" || isThreads(directory, of: own)
        else { return nil }
        let flags = try systemCall("look at", path) { fcntl(descriptor, F_GETFL) }
        guard flags & O_ACCMODE != O_RDONLY else { throw UsageError("\(path): isn't open for writing") }
        return descriptor
    }

    private static func isThreads(_ directory: String, of process: String) -> Bool {
        directory.hasPrefix("\(process)/task/") && directory.hasSuffix("/fd")
    }

    /// The directory that a path is in, if it is one of procfs that holds a process's open files.
    private static func processDirectory(of path: String) -> String? {
        let parent = path.parentDirectory
        guard let directory = try? realPath(parent) else { return nil }
        return directory.wholeMatch(of: /\/proc\/[0-9]+(\/task\/[0-9]+)?\/fd/) == nil ? nil : directory
    }
}
