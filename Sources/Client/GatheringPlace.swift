import Glibc
import ShaCache

/// A file in which a blob's bytes gather until they are whole and right, and what becomes of it then.
struct GatheringPlace {
    let file: OpenFile
    private let destination: Destination

    /// For a file that is a hidden one beside it, named by the blob, with the bytes of an earlier call that was cut
    /// off; a second program that fetches the same at once gets one of its own.
    init(of digest: Digest, for destination: Destination) throws {
        guard case .file(let path) = destination else {
            self.init(file: try OpenFile.temporary(in: temporaryDirectory), destination: destination)
            return
        }
        let name = Self.hiddenName(beside: path, "\(digest.description.prefix(16)).part")
        let file = try OpenFile(name, flags: O_RDWR | O_CREAT, mode: 0o666)
        // Whoever had it before may have delivered it since it was opened.
        if flock(file.descriptor, LOCK_EX | LOCK_NB) == 0, try file.status().st_nlink > 0 {
            self.init(file: file, destination: destination)
        } else {
            try self.init(for: destination)
        }
    }

    /// For bytes that can't be gone on with later.
    init(for destination: Destination) throws {
        guard case .file(let path) = destination else {
            self.init(file: try OpenFile.temporary(in: temporaryDirectory), destination: destination)
            return
        }
        let name = Self.hiddenName(beside: path, "\(getpid())-\(UInt32.random(in: 0 ... .max)).part")
        self.init(file: try OpenFile(name, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o666), destination: destination)
    }

    private init(file: OpenFile, destination: Destination) {
        self.file = file
        self.destination = destination
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
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { piece.deallocate() }
        var offset = 0
        while case let count = try read(at: offset, into: piece), count > 0 {
            var done = 0
            while done < count {
                done += Int(
                    try system("write the output") {
                        Int32(Glibc.write(descriptor, piece.baseAddress! + done, count - done))
                    })
            }
            offset += count
        }
    }
}
