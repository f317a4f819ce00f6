import Glibc

/// What the directory holds, in any order, without `.` and `..`.
func names(in path: Path, below directory: CInt = AT_FDCWD) throws(ArchiveError) -> [Path] {
    let opened = try Descriptor(path, in: directory, flags: O_DIRECTORY)
    // fdopendir takes the descriptor over, so it gets one of its own.
    let number = try system("read \(path)") { fcntl(opened.number, F_DUPFD_CLOEXEC, 0) }
    guard let stream = fdopendir(number) else {
        let error = ArchiveError("read \(path)")
        close(number)
        throw error
    }
    defer { closedir(stream) }
    var names: [Path] = []
    while let name = try next(in: stream, path) {
        if name != Path("."), name != Path("..") { names.append(name) }
    }
    return names
}

private func next(in stream: OpaquePointer, _ path: Path) throws(ArchiveError) -> Path? {
    errno = 0
    guard let item = readdir(stream) else {
        guard errno == 0 else { throw ArchiveError("read \(path)") }
        return nil
    }
    return withUnsafePointer(to: &item.pointee.d_name) { field in
        field.withMemoryRebound(to: CChar.self, capacity: 256) { Path(cString: $0) }
    }
}

/// Removes all that the directory holds, also what lies in directories that are read-only. Never follows a link.
func empty(_ path: Path = Path("."), below directory: CInt) throws(ArchiveError) {
    for name in try names(in: path, below: directory) {
        let path = path.appending(name)
        try remove(path, below: directory)
    }
}

private func remove(_ path: Path, below directory: CInt) throws(ArchiveError) {
    guard path.withCString({ unlinkat(directory, $0, 0) }) != 0 else { return }
    // A directory: Linux says so, and no other process has reason to make it something else.
    guard errno == EISDIR else { throw ArchiveError("remove \(path)") }
    try system("remove \(path)") { path.withCString { fchmodat(directory, $0, 0o700, 0) } }
    try empty(path, below: directory)
    try system("remove \(path)") { path.withCString { unlinkat(directory, $0, AT_REMOVEDIR) } }
}
