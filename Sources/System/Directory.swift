public import CLinux
import Glibc

/// An open directory, read name by name: however much lies in it, little memory is needed.
public final class Directory {
    private let stream: OpaquePointer  // DIR *
    private let name: String

    /// - Parameters:
    ///   - path: from `directory` on, the number of an open one.
    ///   - flags: O_NOFOLLOW, to refuse a symbolic link.
    public init(
        _ path: String, in directory: CInt = AT_FDCWD, flags: CInt = 0, named name: String? = nil
    ) throws(SystemError) {
        let opened = try Descriptor(path, in: directory, flags: O_RDONLY | O_DIRECTORY | flags, named: name)
        self.name = opened.name
        // fdopendir takes the descriptor over, so it gets one of its own.
        let number = try systemCall("open", opened.name) { fcntl(opened.number, F_DUPFD_CLOEXEC, 0) }
        guard let stream = fdopendir(number) else {
            let error = SystemError("open", opened.name)
            close(number)
            throw error
        }
        self.stream = stream
    }

    deinit { closedir(stream) }

    /// - Parameter name: of one in this one; a symbolic link isn't followed.
    /// - Returns: nil when there is none (any more).
    public func subdirectory(_ name: UnsafePointer<CChar>) throws(SystemError) -> Directory? {
        do throws(SystemError) {
            return try Directory(String(fileName: name), in: number, flags: O_NOFOLLOW)
        } catch {
            guard error.isOfMissingDirectory else { throw error }
            return nil
        }
    }

    /// Open as long as the directory is.
    public var number: CInt { dirfd(stream) }

    public func status() throws(SystemError) -> stat {
        var status = stat()
        try systemCall("look at", name) { fstat(number, &status) }
        return status
    }

    /// Calls `body` with each name but `.` and `..`, in any order; the pointer is good as long as that runs.
    public func forEachName(_ body: (UnsafePointer<CChar>) throws -> Void) throws {
        while let name = try nextName() { try body(name) }
    }

    /// Each name but `.` and `..`, in any order.
    public func names() throws(SystemError) -> [String] {
        var names: [String] = []
        while let name = try nextName() { names.append(String(fileName: name)) }
        return names
    }

    /// Each name but `.` and `..`, in any order; nil when there are no more.
    ///
    /// - Returns: what is good until the next call.
    public func nextName() throws(SystemError) -> UnsafePointer<CChar>? {
        while let item = try next() {
            let field = UnsafeRawPointer(item) + MemoryLayout<dirent>.offset(of: \.d_name)!
            let name = field.assumingMemoryBound(to: CChar.self)
            if strcmp(name, ".") != 0, strcmp(name, "..") != 0 { return name }
        }
        return nil
    }

    /// The same, and what is there, not followed when it is a symbolic link. What vanishes meanwhile is left out.
    public func forEachItem(_ body: (UnsafePointer<CChar>, stat) throws -> Void) throws {
        try forEachName { name in
            var status = stat()
            guard fstatat(number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
                guard errno == ENOENT else { throw SystemError("look at", String(fileName: name)) }
                return
            }
            try body(name, status)
        }
    }

    private func next() throws(SystemError) -> UnsafeMutablePointer<dirent>? {
        errno = 0
        let item = readdir(stream)
        guard item != nil || errno == 0 else { throw SystemError("read", name) }
        return item
    }
}

/// What the directory holds, in any order, without `.` and `..`.
public func namesInDirectory(_ path: String) throws(SystemError) -> [String] { try Directory(path).names() }

extension SystemError {
    /// Whether no directory of that name is there.
    public var isOfMissingDirectory: Bool { [ENOENT, ENOTDIR].contains(code) }
}
