import Glibc
import ShaCache
import System

/// A temporary file for a blob until it is complete and verified, and its delivery to the destination.
///
/// It lies beside the wanted file, and takes its place by a rename. What was there keeps its mode, owner, access list
/// and attributes. Where that can't be, the bytes are copied into what is there, as cp does: a file with several names, a
/// mount of its own, one of another user's, one in a directory that may not be written.
struct PartialDownload {
    let file: SharedFile
    /// Whether a later call finds it, and goes on with its bytes.
    let isResumable: Bool
    private let destination: Destination
    /// Of the file, as long as it isn't delivered; nil when it has none.
    private let name: String?
    /// Whether it can't take the place of what is there.
    private let isElsewhere: Bool

    /// For a file that is a hidden one beside it, named by the blob, with the bytes of an earlier call that was cut
    /// off; a second program that fetches the same at once gets one of its own.
    init(of digest: Digest, for destination: Destination) throws {
        guard case .file(let path) = destination,
            let part = PartFile.claim(beside: path, PartFile.mark(of: digest))
        else {
            try self.init(for: destination)
            return
        }
        try self.init(part, isResumable: true, destination: destination, path)
    }

    /// For bytes that can't be gone on with later. A killed process leaves nothing, or where files have names from the
    /// beginning, what the next one writes over.
    init(for destination: Destination) throws {
        guard case .file(let path) = destination else {
            try self.init(elsewhere: destination)
            return
        }
        if let file = Self.unnamed(beside: path) {
            self.init(
                file: SharedFile(file), name: nil, isResumable: false, isElsewhere: false, destination: destination)
        } else if let part = try PartFile.claimAny(beside: path) {
            try self.init(part, isResumable: false, destination: destination, path)
        } else {
            do {
                try self.init(
                    try PartFile.unique(beside: path), isResumable: false, destination: destination, path)
            } catch let error as SystemError {
                guard error.isOfTheDirectory, exists(path) else {
                    throw SystemError(error.operation, path, errno: error.code)
                }
                try self.init(elsewhere: destination)
            }
        }
    }

    private init(_ part: PartFile, isResumable: Bool, destination: Destination, _ path: String) throws {
        // What others may not read of the old file they may not read of the new one either, while it gathers.
        if exists(path) { try part.file.descriptor.changeMode(0o600) }
        self.init(
            file: part.file, name: part.name, isResumable: isResumable, isElsewhere: false, destination: destination)
    }

    private init(elsewhere destination: Destination) throws {
        self.init(
            file: SharedFile(try Descriptor.temporary(in: temporaryDirectory)), name: nil, isResumable: false,
            isElsewhere: true, destination: destination)
    }

    private init(file: SharedFile, name: String?, isResumable: Bool, isElsewhere: Bool, destination: Destination) {
        self.file = file
        self.name = name
        self.isResumable = isResumable
        self.isElsewhere = isElsewhere
        self.destination = destination
    }

    /// - Returns: nil where files must have names; also without procfs, by which they get one.
    private static func unnamed(beside path: String) -> Descriptor? {
        let directory = path.parentDirectory
        let mode: mode_t = exists(path) ? 0o600 : 0o666
        guard let file = try? Descriptor.unnamed(in: directory, mode: mode, named: path), exists(file.procfsName) else {
            return nil
        }
        return file
    }

    /// Hands over what gathered: all of it at once, if it lies in a file's place.
    func deliver() throws {
        switch destination {
        case .stream(let descriptor): try file.descriptor.copy(to: descriptor, named: "write the output")
        case .file(let path):
            try file.descriptor.synchronize()
            if try isElsewhere || !takePlace(of: path) {
                try file.descriptor.copy(over: path)
                discard()
            }
            PartFile.sweep(beside: path)
        }
    }

    /// - Returns: whether it has the name now; false when what is there can't be replaced.
    private func takePlace(of path: String) throws -> Bool {
        guard exists(path) else {
            try openToOthers(beside: path)
            if name == nil, file.descriptor.link(to: path) { return true }
            if let error = rename(try name ?? file.descriptor.linkedBeside(path), to: path) { throw error }
            return true
        }
        // It may have come meanwhile.
        try Destination.checkPlanted(path, fileStatus(path, following: false))
        guard file.descriptor.adoptAttributes(of: path) else { return false }
        let linked = try name ?? file.descriptor.linkedBeside(path)
        guard let error = rename(linked, to: path) else { return true }
        if name == nil { unlink(linked) }
        guard error.isOfTheDirectory else { throw error }
        return false
    }

    /// Gives it the mode of new files there, by umask or access list, if it was closed to others for the sake of an old
    /// file that has gone since.
    private func openToOthers(beside path: String) throws {
        guard try file.descriptor.status().st_mode & 0o777 == 0o600,
            let new = try? Descriptor.unnamed(in: path.parentDirectory, mode: 0o666, named: path)
        else { return }
        let mode = try new.status().st_mode & 0o777
        try file.descriptor.changeMode(mode)
    }

    private func rename(_ old: String, to new: String) -> SystemError? {
        let result = old.withFileName { old in new.withFileName { Glibc.rename(old, $0) } }
        return result == 0 ? nil : SystemError("rename", new)
    }

    /// Removes what gathered and is of no use.
    func discard() {
        if let name { unlink(name) }
    }
}

extension SystemError {
    /// The directory lets nothing be made in it or replaced, by its permissions or since that is a mount.
    fileprivate var isOfTheDirectory: Bool { [EACCES, EPERM, EROFS, EBUSY, EXDEV].contains(code) }
}

extension Descriptor {
    /// By which an open file can be given a name.
    fileprivate var procfsName: String { "/proc/self/fd/\(number)" }

    /// - Returns: false when something has that name.
    fileprivate func link(to path: String) -> Bool {
        path.withFileName { linkat(AT_FDCWD, procfsName, AT_FDCWD, $0, AT_SYMLINK_FOLLOW) } == 0
    }

    /// Gives it a hidden name, for the moment until it is renamed: a link can't replace what is there.
    fileprivate func linkedBeside(_ path: String) throws -> String {
        // In that moment, another program may look for what killed ones left.
        flock(number, LOCK_EX | LOCK_NB)
        for mark in PartFile.marks {
            if let leftover = PartFile.claim(beside: path, mark, making: false) { unlink(leftover.name) }
            let name = PartFile.name(beside: path, mark)
            if link(to: name) { return name }
            guard errno == EEXIST else { break }
        }
        throw SystemError("link", path)
    }
}
