import CLinux
import Glibc

extension BlobStore {
    /// Removes the bodies that a killed nginx or worker left in the spool.
    ///
    /// - Returns: how many were removed.
    public func sweep() throws(StoreError) -> Int {
        guard let stream = opendir(incoming) else { throw StoreError("read the spool") }
        defer { closedir(stream) }
        var removed = 0
        while let item = readdir(stream) {
            let name = withUnsafeBytes(of: item.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name != ".", name != ".." else { continue }
            if isAbandoned("\(incoming)/\(name)"), unlink("\(incoming)/\(name)") == 0 { removed += 1 }
        }
        return removed
    }

    /// nginx keeps a body open until its request has ended, so a file that nobody has open belongs to no request.
    /// The kernel knows: it grants a write lease only on such a file (fcntl(2), F_SETLEASE). Where it grants none
    /// at all, as on NFS, age decides.
    private func isAbandoned(_ path: String) -> Bool {
        guard let file = try? FileHandle(opening: path, as: "open a leftover"), let status = try? file.status(),
            status.st_mode & S_IFMT == S_IFREG
        else { return false }
        if fcntl(file.descriptor, f_setlease, Int32(F_WRLCK)) == 0 { return true }
        guard errno != EAGAIN else { return false }
        return Int(status.st_mtim.tv_sec) < time(nil) - Self.leftoverAge
    }

    /// Seconds. The deployed clients give up after one hour.
    private static let leftoverAge = 24 * 3600
}
