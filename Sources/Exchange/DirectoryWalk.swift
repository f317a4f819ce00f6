import Glibc
import System

/// What lies below a directory and is no directory itself, one after the other, in any order. However much that is,
/// little memory is needed.
final class DirectoryWalk {
    struct Item {
        /// Below the directory that is walked.
        let path: String
        let isRegular: Bool
    }

    private let goesDown: Bool
    /// Those that are being read, each in the one before it; the path of the top is empty.
    private var open: [(directory: Directory, path: String)]

    /// - Parameter goesDown: whether directories in it are walked, too; otherwise they are left out.
    init(_ path: String, goesDown: Bool) throws(SystemError) {
        self.goesDown = goesDown
        open = [(try Directory(path), "")]
    }

    /// - Returns: nil at the end. A symbolic link isn't followed; what vanishes meanwhile is left out.
    func next() throws(SystemError) -> Item? {
        while let (directory, path) = open.last {
            guard let name = try directory.nextName() else {
                open.removeLast()
                continue
            }
            var status = stat()
            guard fstatat(directory.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            let below = path + String(fileName: name)
            guard status.st_mode & S_IFMT == S_IFDIR else {
                return Item(path: below, isRegular: status.st_mode & S_IFMT == S_IFREG)
            }
            if goesDown, let inner = try directory.subdirectory(name) { open.append((inner, "\(below)/")) }
        }
        return nil
    }
}
