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
    /// Those that an upload or a withdrawal needs, beside `blobs`, from the store's directory on. Of the spools, this host's.
    var neededDirectories: [String] {
        ["withdrawn", "quarantine", "trash", "journal", "incoming", "incoming/\(host)"] + shelves
    }

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

    /// Makes the directories that are missing, as a worker does, for the store's owner: root makes them for the workers.
    ///
    /// - Throws: when there is no store's directory.
    public func prepareForOwner() throws(StoreError) {
        let isThere = access("\(directory)/blobs", F_OK) == 0
        let opened = try openDirectory(isThere ? "\(directory)/blobs" : directory, "the store's directory")
        try prepare(for: StoreOwner(asStoreError(try opened.status())))
    }

    func prepare(for owner: StoreOwner) throws(StoreError) {
        // First, since what it belongs to owns the rest, should this be killed.
        try repairDirectory("blobs", owner)
        try prepare()
        for name in neededDirectories where problem(ofDirectory: name, owner) != nil {
            try give(openDirectory("\(directory)/\(name)", name), to: owner, mode: owner.mode)
        }
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

    /// Whether a directory is the store's, lies in it, or has it in itself: what is written there, and removed, would be
    /// the store's.
    ///
    /// - Parameter path: of a directory that may have yet to be made.
    public func overlaps(_ path: String) -> Bool {
        guard let store = realPath(directory), let other = realPath(path) ?? realPath(ofNew: path) else { return false }
        return "\(store)/".hasPrefix("\(other)/") || "\(other)/".hasPrefix("\(store)/")
    }

    /// Whether the file system keeps with each file the size with which it was stored.
    func storesSizes() throws(StoreError) -> Bool { try openDirectory("\(directory)/blobs", "the store").canStoreSize }
}

/// Without symbolic links; nil when there is no such file.
private func realPath(_ path: String) -> String? {
    guard let real = path.withFileName({ realpath($0, nil) }) else { return nil }
    defer { free(real) }
    // Of the root, nothing: what follows begins with a slash.
    return strcmp(real, "/") == 0 ? "" : String(fileName: real)
}

/// The same of one that is made there.
private func realPath(ofNew path: String) -> String? {
    let path = path.last == "/" ? String(path.dropLast()) : path
    return realPath(path.parentDirectory).map { "\($0)/\(path.lastPathComponent)" }
}
