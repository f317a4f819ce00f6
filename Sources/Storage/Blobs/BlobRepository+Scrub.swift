import Postgres
import ShaCache

extension BlobRepository {
    /// Takes a damaged file out of readers' sight, and records that. Behind the blob's lock it is read again: an upload
    /// may have healed it, or a withdrawal moved it.
    ///
    /// - Returns: what is wrong with it; nil when nothing is, or it isn't there any more.
    func quarantine(_ digest: Digest, on shelf: LocalBlobs.Shelf, host: String, by actor: String) throws -> String? {
        var found: String?
        do {
            try connection.transaction {
                try session.lock(.blob(digest))
                guard case .damaged(let problem) = try files.presenceOnDisk(of: digest, on: shelf) else { return }
                found = problem
                try record(digest, on: shelf, problem: problem, isQuarantined: true, host: host, by: actor)
                try files.quarantine(digest, from: shelf)
            }
        } catch let error as StoreError where found != nil {
            // A disk that can't be written to must not keep the finding from being seen.
            let problem = "\(found!); and it could not be moved away: \(error)"
            try connection.transaction {
                try record(digest, on: shelf, problem: problem, isQuarantined: false, host: host, by: actor)
            }
            return problem
        }
        return found
    }

    private func record(
        _ digest: Digest, on shelf: LocalBlobs.Shelf, problem: String, isQuarantined: Bool, host: String,
        by actor: String
    ) throws {
        try ScrubFindings(session).record(
            digest, bytes: files.size(of: digest, on: shelf), problem: problem, isQuarantined: isQuarantined, on: host)
        try session.audit.append(
            isQuarantined ? "blob quarantine" : "blob damaged", of: digest.description, by: actor, detail: problem)
    }

    /// Closes the findings of blobs that an upload has healed, or that a collection has removed. And what a crash has
    /// left in quarantine without a finding gets one, or goes when the blob is intact.
    func reconcileQuarantine(host: String, by actor: String) throws {
        let findings = ScrubFindings(session)
        try findings.forEachOpen { digest in
            try connection.transaction {
                try session.lock(.blob(digest))
                if try state(of: digest) == .absent {
                    files.discardQuarantined(digest)
                    return try findings.close(digest, by: "nothing: it was removed")
                }
                guard try isIntactOnDisk(digest) else { return }
                try findings.close(digest, by: "an upload")
            }
        }
        var last: Digest?
        while case let page = try files.blobs(on: .quarantine, after: last, limit: 1000), !page.isEmpty {
            for digest in page { try reconcileQuarantined(digest, host: host, by: actor) }
            last = page.last
        }
    }

    private func reconcileQuarantined(_ digest: Digest, host: String, by actor: String) throws {
        try connection.transaction {
            try session.lock(.blob(digest))
            guard try !ScrubFindings(session).isOpen(digest) else { return }
            if try isIntactOnDisk(digest) { return files.discardQuarantined(digest) }
            guard try state(of: digest) != .absent else { return }
            try record(
                digest, on: .quarantine, problem: "was in quarantine without a finding", isQuarantined: true,
                host: host, by: actor)
        }
    }

    /// Whether the bytes of a blob lie where its row has them.
    private func isIntactOnDisk(_ digest: Digest) throws -> Bool {
        switch try state(of: digest) {
        case .absent: false
        case .visible: try files.presenceOnDisk(of: digest, on: digest.shelf) == .intact
        case .withdrawn:
            try files.presenceOnDisk(of: digest, on: .hidden) == .intact
                || files.presenceOnDisk(of: digest, on: digest.shelf) == .intact
        }
    }

    /// The acknowledged blobs without a file, in quarantine or lost.
    func forEachLostBlob(_ body: (Digest) throws -> Void) throws {
        for byte in UInt8.min...UInt8.max {
            try BlobRows(session: session).forEachBlob(on: byte) { blob in
                if !files.exists(blob.digest) { try body(blob.digest) }
            }
        }
    }

    /// Brings back the bytes of a blob that is damaged or lost, as an upload would, and only the right ones.
    ///
    /// - Parameters:
    ///   - origin: where they come from, for the record.
    ///   - fetch: passes them on, a piece at a time.
    /// - Throws: `HealingError`, `StoreError`, or what `fetch` throws.
    func heal(
        _ digest: Digest, from origin: String, by actor: String,
        fetch: (_ write: @escaping (UnsafeRawBufferPointer) throws -> Void) throws -> Void
    ) throws {
        try files.admit(bytes: 0)
        let body = try SpooledBody(creatingIn: files)
        defer { body.discard() }
        try fetch(body.appending)
        guard try body.digest() == digest else { throw HealingError.hasOtherBytes }
        try body.seal(body.size())
        do {
            try connection.transaction {
                try session.lock(.blob(digest))
                switch try state(of: digest) {
                case .absent: throw HealingError.isUnknown
                case .visible: try files.linkDurably(body.descriptor, as: digest)
                case .withdrawn: try files.linkHidden(body.descriptor, as: digest)
                }
                try ScrubFindings(session).close(digest, by: origin)
                try session.audit.append("blob heal", of: digest.description, by: actor, detail: "from \(origin)")
            }
        } catch {
            // Its file may have been linked after a session that ended had lost the lock.
            _ = try? session.retryingWhileUnavailable { try hideFile(digest) }
            throw error
        }
        files.discardQuarantined(digest)
    }
}

/// Why a blob was not healed.
public enum HealingError: Error, CustomStringConvertible {
    case hasOtherBytes
    /// No row has that name any more.
    case isUnknown

    public var description: String {
        switch self {
        case .hasOtherBytes: "what is there has other bytes than its name says"
        case .isUnknown: "no such blob is on record"
        }
    }
}

extension Digest {
    /// Where readers look for it.
    var shelf: LocalBlobs.Shelf { .visible(bytes[0]) }
}
