import CLinux
import Glibc
import OpenSSL
import ShaCache
import System

/// A hidden file beside the one that it becomes: locked while a program uses it, and found again by the next one when
/// that was killed.
struct PartFile {
    let file: SharedFile

    var name: String { file.name }

    /// - Parameters:
    ///   - path: of the wanted file.
    ///   - mark: what sets it apart from other ones beside the same file.
    ///   - isNew: whether it may be made.
    /// - Returns: nil when it is another program's: one that has it now, one that has delivered it since it was
    ///   opened, or a planted one, for us to write into. Also where the system refuses.
    static func claim(beside path: String, _ mark: String, making isNew: Bool = true) -> PartFile? {
        let name = name(beside: path, mark)
        guard let file = try? Descriptor(name, flags: O_RDWR | O_NOFOLLOW | (isNew ? O_CREAT : 0), mode: 0o666),
            flock(file.number, LOCK_EX | LOCK_NB) == 0,
            let opened = try? file.status(), let named = try? fileStatus(name, following: false),
            (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino),
            opened.kind == S_IFREG, opened.st_uid == geteuid(), opened.st_nlink == 1
        else { return nil }
        return PartFile(file: SharedFile(file))
    }

    /// The first of a few that no other program has: so what killed programs leave never gathers.
    static func claimAny(beside path: String) throws(SystemError) -> PartFile? {
        for mark in marks {
            guard let part = claim(beside: path, mark) else { continue }
            try part.file.descriptor.truncate(to: 0)
            return part
        }
        return nil
    }

    /// For programs that fetch to one name at once: few enough that what they leave doesn't gather.
    static let marks = (0..<16).map { "\($0)" }

    /// One for this process alone, where files can't be locked.
    static func unique(beside path: String) throws(SystemError) -> PartFile {
        let name = name(beside: path, "\(getpid())-\(UInt32.random(in: 0 ... .max))")
        let file = try Descriptor(name, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o666)
        return PartFile(file: SharedFile(file))
    }

    /// Removes what killed programs left beside a file that is there now.
    static func sweep(beside path: String) {
        for name in (try? namesInDirectory(path.parentDirectory)) ?? [] {
            guard let mark = mark(in: name, beside: path), let part = claim(beside: path, mark, making: false)
            else { continue }
            unlink(part.name)
        }
    }

    /// - Returns: nil when that is another file than one of ours.
    private static func mark(in name: String, beside path: String) -> String? {
        guard name.utf8.first == UInt8(ascii: "."), name.hasSuffix(".part") else { return nil }
        let mark = String(name.dropLast(5).reversed().prefix { $0.isHexDigit }.reversed())
        let isOurs = mark.utf8.count == digestMarkLength || marks.contains(mark)
        return isOurs && self.name(beside: path, mark).lastPathComponent == name ? mark : nil
    }

    private static let digestMarkLength = 16

    static func mark(of digest: Digest) -> String { String(digest.description.prefix(digestMarkLength)) }

    /// A name that leaves no room for ours is told by its hash.
    static func name(beside path: String, _ mark: String) -> String {
        let base = path.lastPathComponent
        let hidden = ".\(base).\(mark).part"
        let directory = path.directoryPrefix
        let limit = path.parentDirectory.withFileName { pathconf($0, Int32(_PC_NAME_MAX)) }
        guard limit > 0, hidden.fileNameBytes.count > limit else { return directory + hidden }
        let hash = Hash(.sha512)
        base.fileNameBytes.withUnsafeBytes { hash.update($0) }
        return "\(directory).\(Digest(bytes: hash.finish()).description.prefix(16)).\(mark).part"
    }
}
