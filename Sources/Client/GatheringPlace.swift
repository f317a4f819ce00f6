import Glibc
import ShaCache

/// A file in which a blob's bytes gather until they are whole and right, and what becomes of it then.
struct GatheringPlace {
    let file: OpenFile
    /// Whether a later call finds it, and goes on with its bytes.
    let isResumable: Bool
    private let destination: Destination

    /// For a file that is a hidden one beside it, named by the blob, with the bytes of an earlier call that was cut
    /// off; a second program that fetches the same at once gets one of its own.
    init(of digest: Digest, for destination: Destination) throws {
        guard case .file(let path) = destination,
            let file = try Self.claim(Self.hiddenName(beside: path, "\(digest.description.prefix(16)).part"))
        else {
            try self.init(for: destination)
            return
        }
        self.init(file: file, isResumable: true, destination: destination)
    }

    /// For bytes that can't be gone on with later.
    init(for destination: Destination) throws {
        guard case .file(let path) = destination else {
            let file = try OpenFile.temporary(in: temporaryDirectory)
            self.init(file: file, isResumable: false, destination: destination)
            return
        }
        let name = Self.hiddenName(beside: path, "\(getpid())-\(UInt32.random(in: 0 ... .max)).part")
        let file = try OpenFile(name, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o666)
        self.init(file: file, isResumable: false, destination: destination)
    }

    private init(file: OpenFile, isResumable: Bool, destination: Destination) {
        self.file = file
        self.isResumable = isResumable
        self.destination = destination
    }

    /// - Returns: nil when the file is another program's: one that has it now, one that has delivered it since it was
    ///   opened, or somebody who put it there for us to write into.
    private static func claim(_ name: String) throws -> OpenFile? {
        guard let file = try? OpenFile(name, flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o666),
            flock(file.descriptor, LOCK_EX | LOCK_NB) == 0
        else { return nil }
        let opened = try file.status()
        var named = stat()
        guard lstat(name, &named) == 0, (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino),
            opened.st_mode & S_IFMT == S_IFREG, opened.st_uid == geteuid(), opened.st_nlink == 1
        else { return nil }
        return file
    }

    private static func hiddenName(beside path: String, _ suffix: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return ".\(path).\(suffix)" }
        return "\(path[...slash]).\(path[path.index(after: slash)...]).\(suffix)"
    }

    /// Hands over what gathered, all of it at once.
    func deliver() throws {
        switch destination {
        case .file(let path):
            try file.synchronize()
            try system(path) { rename(file.path, path) }
        case .stream(let descriptor): try file.copy(to: descriptor)
        }
    }

    /// Removes what gathered and is of no use.
    func discard() {
        if case .file = destination { unlink(file.path) }
    }
}

extension OpenFile {
    /// Writes all of it to a pipe or a terminal.
    fileprivate func copy(to descriptor: Int32) throws {
        try forEachPiece { piece in
            var done = 0
            while done < piece.count {
                done += Int(
                    try system("write the output") {
                        Int32(Glibc.write(descriptor, piece.baseAddress! + done, piece.count - done))
                    })
            }
        }
    }
}
