import Glibc
import ShaCache
import System

/// The user and the group that the store belongs to, and the mode of its directories.
struct StoreOwner {
    let user: uid_t
    let group: gid_t
    let mode: mode_t

    init(_ status: stat) { (user, group, mode) = (status.st_uid, status.st_gid, status.st_mode & 0o7777) }

    /// As open(2) decides it: of the three sets of bits, the first that fits counts.
    func mayRead(_ file: StoredFile) -> Bool {
        guard user != 0 else { return true }
        let bit = file.owner == user ? S_IRUSR : file.group == group ? S_IRGRP : S_IROTH
        return file.mode & bit != 0
    }
}

/// What `prepare` makes and uploads leave, compared with what is there.
extension LocalBlobs {
    /// Those that an upload or a withdrawal needs, from the store's directory on. Spools are each worker's own.
    var neededDirectories: [String] { ["withdrawn", "quarantine", "trash", "journal", "incoming"] + shelves }

    /// Whose the directory of blobs is.
    ///
    /// - Throws: when there is none: its disk may not be mounted, and nothing is to be made in its place.
    func owner() throws(StoreError) -> StoreOwner {
        let blobs = try openDirectory("\(directory)/blobs", "the directory blobs")
        return StoreOwner(try asStoreError(try blobs.status()))
    }

    /// What is wrong with a directory of the store; nil: nothing.
    func problem(ofDirectory name: String, _ owner: StoreOwner) -> String? {
        var status = stat()
        guard lstat("\(directory)/\(name)", &status) == 0 else { return SystemError("look at", name).reason }
        guard status.kind == S_IFDIR else { return "is not a directory" }
        guard status.st_uid == owner.user else {
            return "belongs to the user \(status.st_uid), and the store to \(owner.user)"
        }
        return status.st_mode & S_IRWXU == S_IRWXU ? nil : "can't be used by its owner"
    }

    /// Makes a directory of the store, or gives it back to the store's owner.
    func repairDirectory(_ name: String, _ owner: StoreOwner) throws(StoreError) {
        try makeDirectory("\(directory)/\(name)")
        try give(openDirectory("\(directory)/\(name)", name), to: owner, mode: owner.mode)
        try synchronize(openDirectory("\(directory)/\(name.prefix { $0 != "/" })", "the store"))
        try synchronize(openDirectory(directory, "the store"))
    }

    /// Lets the store's owner read a blob's file, as it is after an upload.
    func repairFile(at path: String, _ owner: StoreOwner) throws(StoreError) {
        try give(Descriptor(inStore: path, named: "a blob"), to: owner, mode: 0o440)
    }

    /// Gives a file that was made to the store's owner, where root made it: the workers go on with it.
    func giveToOwner(_ file: borrowing Descriptor, mode: mode_t) throws(StoreError) {
        if geteuid() == 0 { try give(file, to: owner(), mode: mode) }
    }

    func give(_ file: borrowing Descriptor, to owner: StoreOwner, mode: mode_t) throws(StoreError) {
        let number = file.number
        // Only who owns it may change its mode: root without CAP_FOWNER, as timers run, can't behind the other.
        try asStoreError(try file.changeMode(mode))
        try asStoreError(
            try systemCall("give to the user \(owner.user)", file.name) { fchown(number, owner.user, owner.group) })
    }

    /// Whether the file system keeps with each file the size with which it was stored.
    func storesSizes() throws(StoreError) -> Bool { try openDirectory("\(directory)/blobs", "the store").canStoreSize }
}
