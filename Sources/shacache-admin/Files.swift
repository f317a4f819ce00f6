import Foundation
import Glibc
import OpenSSL
import Storage
import System

/// Why a command could not do what it was asked to.
struct CommandError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Prints data: unlike `print`, it says when that fails, or a script would take a part for the whole.
func output(_ text: String, terminator: String = "\n") throws {
    do {
        try FileHandle.standardOutput.write(contentsOf: Data((text + terminator).fileNameBytes))
    } catch let error as CocoaError {
        let code = (error.underlying as NSError?)?.code ?? Int(EIO)
        throw CommandError("\(SystemError("write", "standard output", errno: CInt(code)))")
    }
}

func contents(of path: String) throws -> [UInt8] {
    do {
        return try contentsOfFile(path)
    } catch {
        throw CommandError(error.description)
    }
}

extension LocalBlobs {
    /// - Throws: `CommandError` when what is written to a directory would be the store's.
    func requireApart(_ directory: String) throws {
        guard overlaps(directory) else { return }
        throw CommandError("\(directory): lies in the store, or the store in it: name a directory beside the store")
    }
}

/// Makes a directory for its owner alone, unless it is there.
func makePrivateDirectory(_ path: String) throws {
    guard path.withFileName({ mkdir($0, 0o700) }) != 0, errno != EEXIST else { return }
    throw CommandError("\(SystemError("make", path))")
}

/// One to be written, never over an old one: that may hold the only copy of a key.
struct NewFile {
    let contents: [UInt8]
    let path: String
    /// 0o600 holds from the first byte on.
    let mode: mode_t
}

extension NewFile {
    init(_ certificate: Certificate, at path: String) throws {
        self.init(contents: Array(try certificate.pem().utf8), path: path, mode: 0o644)
    }

    init(_ key: PrivateKey, at path: String, passphrase: [UInt8]? = nil) throws {
        self.init(contents: Array(try key.pem(passphrase: passphrase).utf8), path: path, mode: 0o600)
    }

    /// Takes the name first, and puts the whole file there at the end: after a crash it is empty or whole.
    fileprivate func write() throws {
        _ = try create(path)
        do {
            let temporary = "\(path).\(getpid())"
            defer { unlink(temporary) }
            let file = try create(temporary)
            try contents.withUnsafeBytes { try file.writeAll($0) }
            let rename = try DurableRename(in: path.parentDirectory)
            try rename.move(temporary.lastPathComponent, to: path.lastPathComponent, file: file)
        } catch {
            unlink(path)
            throw error
        }
    }

    private func create(_ path: String) throws(SystemError) -> Descriptor {
        try Descriptor(path, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode, named: self.path)
    }
}

/// All or none.
func write(_ files: [NewFile]) throws {
    for (count, file) in files.enumerated() {
        do { try file.write() } catch {
            remove(files.prefix(count))
            throw error
        }
    }
}

private func remove(_ files: some Sequence<NewFile>) { for file in files { unlink(file.path) } }

func unlink(_ path: String) { _ = path.withFileName { Glibc.unlink($0) } }

/// Gives a file other contents, at once and durably. Its owner and mode stay; one that wasn't there is ours.
///
/// - Parameter mode: of one that wasn't there.
func replace(_ path: String, with contents: some Sequence<UInt8>, mode: mode_t = 0o644) throws {
    let temporary = "\(path).\(getpid())"
    defer { unlink(temporary) }
    let file = try Descriptor(temporary, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode, named: path)
    try Array(contents).withUnsafeBytes { try file.writeAll($0) }
    if let old = try? Descriptor(path).status() {
        try systemCall("give the owner to", path) { fchown(file.number, old.st_uid, old.st_gid) }
        try systemCall("give the mode to", path) { fchmod(file.number, old.st_mode & 0o7777) }
    }
    let rename = try DurableRename(in: path.parentDirectory)
    try rename.move(temporary.lastPathComponent, to: path.lastPathComponent, file: file)
}

extension Certificates {
    /// Records a certificate and writes the files that deliver it, both or neither.
    ///
    /// - Parameter files: called while no certificate can be revoked, nor an account disabled.
    func handOver(
        _ certificate: Certificate, of account: String, origin: CertificateOrigin, by actor: String,
        files: () throws -> [NewFile]
    ) throws {
        var written: [NewFile] = []
        do {
            try add(certificate, of: account, origin: origin, by: actor) {
                let new = try files()
                try write(new)
                written = new
            }
        } catch {
            // The commit failed, or its outcome is unknown: then the certificate may be on record, and has to be
            // revoked, but without its files it can't be used.
            remove(written)
            throw error
        }
    }
}
