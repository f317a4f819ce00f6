import Glibc
import ShaCache

/// What a walk through a store meets: a file, a directory, or a row without a file.
struct StoredItem {
    enum Place {
        /// Where readers look.
        case visible(Digest)
        /// Among the withdrawn blobs.
        case hidden(Digest)
        /// Among those that a collection removed.
        case trash(Digest)
        /// In the database alone.
        case row(Digest)
        /// Relative to the store's directory; empty for directories, which nobody names.
        case path(String)
    }

    let kind: StoreAuditReport.FileKind
    let place: Place
    let file: StoredFile
    let detail: String
    /// Among the withdrawn blobs, though its row is visible: a withdrawal moves the file before it commits its row, and
    /// a crash may leave it there.
    let isMisplaced: Bool

    /// Relative to the store's directory; of a row its digest.
    var name: String {
        switch place {
        case .visible(let digest): "blobs/\(LocalBlobs.place(of: digest))"
        case .hidden(let digest): "withdrawn/\(digest)"
        case .trash(let digest): "trash/\(digest)"
        case .row(let digest): digest.description
        case .path(let path): path
        }
    }

    /// nil of what bears no blob's name.
    var digest: Digest? {
        switch place {
        case .visible(let digest), .hidden(let digest), .trash(let digest), .row(let digest): digest
        case .path: nil
        }
    }
}

/// The attributes of a file or directory in the store.
struct StoredFile {
    let bytes: Int
    /// On disk; 0 for a file that was counted before under another name.
    let allocated: Int
    /// The modification time, in seconds since 1970.
    let modified: Int
    let owner: uid_t
    let group: gid_t
    let mode: mode_t

    /// - Parameter isAgain: it was counted before under another name.
    init(_ status: stat, isAgain: Bool) {
        bytes = isAgain ? 0 : Int(status.st_size)
        // stat(2): in units of 512 bytes, whatever the file system's blocks are.
        allocated = isAgain ? 0 : Int(status.st_blocks) * 512
        modified = Int(status.st_mtim.tv_sec)
        (owner, group, mode) = (status.st_uid, status.st_gid, status.st_mode)
    }

    /// What a row without a file has lost.
    init(missing bytes: Int) {
        self.bytes = bytes
        (allocated, modified, owner, group, mode) = (0, 0, 0, 0, 0)
    }
}

/// Knows files with several hard links again: while a blob is published, it has two.
struct HardLinkTracker {
    private struct Inode: Hashable {
        let device: dev_t
        let number: ino_t
    }

    private var seen: Set<Inode> = []

    /// Whether the file was met before, under another name.
    mutating func isAgain(_ status: stat) -> Bool {
        status.st_mode & S_IFMT != S_IFDIR && status.st_nlink > 1
            && !seen.insert(Inode(device: status.st_dev, number: status.st_ino)).inserted
    }
}
