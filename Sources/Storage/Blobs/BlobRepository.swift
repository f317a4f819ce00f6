import Postgres
public import ShaCache

/// What a blob is, as its row says. The invariant, kept by `BlobRepository` alone: **a file lies where readers look if
/// and only if its row is visible**, but for what a crash leaves, which is harmless and healed.
///
///     state       row                       file
///     absent      none                      none
///     visible     withdrawal_id is NULL     blobs/3f/3f9a…
///     withdrawn   withdrawal_id is set      withdrawn/3f9a…
///
/// Each verb moves the file and the row in one transaction, under `LockOrder.blob`:
///
///     verb        from → to             order                                 a crash in between leaves, until
///     store       absent → visible      file, fsync(directory), row, COMMIT   a file without row: the next store
///     store       visible → visible     the same: its bytes heal the file     nothing
///     store       withdrawn → visible   the same, by another account than     the file seen though withdrawn: reconcile
///                                       the one that withdrew it
///     withdraw    visible → withdrawn   row, file, fsync(both), COMMIT        the file hidden though visible: reconcile, store
///     lift        withdrawn → visible   row, COMMIT, then the file            the same
///     drop        visible → absent      row, file, fsync(directory), COMMIT   a row without file: the next fetch, or drop
///     reconcile   none                  the file goes where its row says      what was there before
///     quarantine  none                  finding, file to quarantine/,         the file in quarantine without finding:
///                                       fsync(both), COMMIT                   the next scrub; the bytes: store, heal
///     heal        none                  file where the row has it,            the finding open: the next scrub
///                                       fsync(directory), finding, COMMIT
///
/// What retention lets go is marked while it is visible, and then made absent: `BlobRepository+Collection` has these steps.
///
/// A blob whose file is in quarantine has the state that its row says, and no file; downloads are 404.
///
/// A failure that isn't a crash is undone at once, by `hideFile` and `restoreFile`; where a COMMIT's outcome is
/// unknown, these ask the database. Only a file without row stays: its bytes are right, and an upload of the same may be
/// under way.
enum BlobState {
    case absent, visible, withdrawn
}

extension BlobRepository {
    /// To be sure of it beyond this statement takes the blob's lock.
    func state(of digest: Digest) throws -> BlobState {
        let row = try connection.run("SELECT withdrawal_id IS NULL FROM shacache.blob WHERE sha512 = \(digest.bytes)")
            .first
        return row.map { $0.bool(0) ? .visible : .withdrawn } ?? .absent
    }
}

/// The owner of a blob's life: bytes in files, and rows in the database. `BlobState` has the states, and what a crash
/// in each step leaves.
public struct BlobRepository {
    public let files: LocalBlobs
    let session: Session
    let groups: BlobGroups
    var connection: Connection { session.connection }

    /// - Parameter groups: of the process; the blobs that several of its threads store at once go in one transaction.
    public init(_ files: LocalBlobs, _ session: Session, groups: BlobGroups = BlobGroups()) {
        self.files = files
        self.session = session
        self.groups = groups
    }

    /// Whether an account may store one more blob, before its bytes come. `store` asks again.
    ///
    /// - Parameter digest: the blob's, where the request names it: what we have already costs nothing.
    /// - Parameter size: in bytes; nil when the request doesn't announce it.
    /// - Throws: `Refusal.accountLimit`, `.withdrawn`, or `.sizeMismatch`: what isn't that blob is not to be received.
    public func admit(_ digest: Digest?, size: Int?, of account: Account) throws {
        try session.reading {
            let known = try digest.flatMap { try find($0, for: account) }
            if let digest, let size, let known, size != known.size {
                throw Refusal.sizeMismatch(digest, stored: known.size, announced: size)
            }
            guard known.map(\.isFetched) ?? true else { return }
            try AccountQuotas(session).checkUsage(of: account, adding: size ?? known?.size ?? 0)
        }
    }

    /// The size with which a blob was acknowledged, in bytes; nil when it never was, or is withdrawn: a restore may
    /// have brought its file back where readers look.
    public func size(of digest: Digest) throws -> Int? {
        try session.reading {
            try connection.run(
                "SELECT size FROM shacache.blob WHERE sha512 = \(digest.bytes) AND withdrawal_id IS NULL"
            ).first?.int(0)
        }
    }

    /// Whether a blob can be served. The database is asked only about a file that doesn't know its size.
    public func presence(of digest: Digest) throws -> LocalBlobs.Presence {
        let presence = try files.presence(of: digest)
        guard case .unconfirmed(let size) = presence else { return presence }
        guard let stored = try self.size(of: digest) else { return .absent }
        return try files.confirmSize(of: digest, size: size, stored: stored)
    }

    /// The size of a blob that was acknowledged and can be served, in bytes; nil of any other: an upload of its bytes
    /// makes it so, unless it is withdrawn.
    public func servedSize(of digest: Digest) throws -> Int? {
        guard let size = try size(of: digest), try presence(of: digest) == .intact else { return nil }
        return size
    }

    /// Calls `body` with each blob that was acknowledged, in the order of their digests; little memory is needed.
    public func forEachBlob(_ body: (_ digest: Digest, _ size: Int, _ isWithdrawn: Bool) throws -> Void) throws {
        for shelf in UInt8.min...UInt8.max {
            try BlobRows(session: session).forEachBlob(on: shelf) { try body($0.digest, $0.size, $0.isWithdrawn) }
        }
    }

    /// - Returns: nil when there is no such blob; its size is in bytes. One that was fetched is no account's yet.
    /// - Throws: `Refusal.withdrawn` when a withdrawal binds this account.
    func find(_ digest: Digest, for account: Account?) throws -> (
        blob: ExistingUpload, size: Int, isFetched: Bool
    )? {
        try connection.run(
            """
            SELECT size, withdrawal.id, withdrawal.reason, is_operators, withdrawal.account_id, blob.account_id IS NULL
            FROM shacache.blob LEFT JOIN shacache.withdrawal ON withdrawal.id = withdrawal_id
            WHERE sha512 = \(digest.bytes)
            """
        ).first.map { (try ExistingUpload($0, from: 1, what: "blob", for: account), $0.int(0)!, $0.bool(5)) }
    }

    /// Makes a body a blob: when this returns, its bytes, its name and its row have reached the disk.
    ///
    /// - Parameters:
    ///   - expected: the digest that the body must have; nil when the request doesn't announce it.
    ///   - record: of the upload; its size is known.
    /// - Throws: `Refusal.digestMismatch`, `.withdrawn` or `.accountLimit`; `ChangedMeanwhile`; `StoreError` or
    ///   `DatabaseError`.
    public func store(
        _ body: borrowing SpooledBody, as expected: Digest?, record: inout UploadRecord
    ) throws -> Digest {
        let digest = try record.timing("hash") { try body.digest() }
        if let expected, expected != digest {
            throw Refusal.digestMismatch(expected: expected, received: digest)
        }
        record.sha512 = digest
        let size = record.bytes!
        try record.timing("synchronize") { try body.seal(size) }
        let upload = BlobUpload(digest: digest, descriptor: body.descriptor, record: record)
        try record.timing("commit") { try submit(upload) }
        return digest
    }
}

extension BlobRepository {
    func submit(_ upload: BlobUpload) throws {
        do {
            switch groups.submit(upload, lead: { members, _ in storeGroup(members) }) {
            case .stored: return
            case .failed(let error): throw error
            case .alone: try session.retryingWhileUnavailable { try storeAlone(upload) }
            }
        } catch {
            // What was withdrawn still is, and its file may lie where readers look: this transaction linked it, and was
            // rolled back; or a group did, whose session had ended, and its lock with it.
            _ = try? session.retryingWhileUnavailable { try hideFile(upload.digest) }
            throw error
        }
    }

    private func storeGroup(_ members: [BlobGroups.GroupMember]) {
        let rows: SQL = "ARRAY[\(members.map(\.upload.row))]::shacache.blob_upload[]"
        publish(members, "shacache.admit_blobs(\(rows))") { "SELECT shacache.record_blobs(\(rows), \($0))" }
    }

    /// Decides everything step by step, and waits for its locks. The file may be in place already: a group may have
    /// linked it.
    private func storeAlone(_ upload: BlobUpload) throws {
        let (digest, account) = (upload.digest, upload.record.account)
        try session.journaling(in: files) {
            try session.lock(.blob(digest))
            try Identities(session).confirmIdentity(of: upload.record)
            let known = try find(digest, for: account)
            let verdict = known.map { $0.isFetched ? "adopted" : "duplicate" } ?? "new"
            if verdict != "duplicate" {
                try AccountQuotas(session).checkQuota(of: account, adding: upload.record.bytes!)
            }
            try files.linkDurably(upload.descriptor, as: digest)
            if let known { try liftForUpload(digest, known.blob, for: account) }
            try connection.run(
                """
                SELECT shacache.record_blobs(
                    ARRAY[\(upload.row)]::shacache.blob_upload[], ARRAY[\(verdict)])
                """)
        }
    }

    private func liftForUpload(_ digest: Digest, _ known: ExistingUpload, for account: Account?) throws {
        try Withdrawals(session).lift(known, for: account, "blob \(digest)") { number in
            var shown = JournalRecords()
            shown.add(.shown, json: "{\"withdrawal\":\(number),\"blob\":\"\(digest)\"}")
            session.note(shown)
            try connection.run(
                """
                UPDATE shacache.blob SET withdrawal_id = NULL
                WHERE sha512 = \(digest.bytes) AND withdrawal_id = \(number)
                """)
        }
    }
}

/// A sealed body that is to become a blob, with all that its transaction needs to know.
public struct BlobUpload: Sendable, PublishedUpload {
    let digest: Digest
    let descriptor: CInt
    let record: UploadRecord

    /// In the order of the columns of `blob_upload` in SQL.
    var row: SQL { "ROW(\(record.columns), \(digest.bytes))" }
}

/// The blobs that the threads of a process store at once.
public typealias BlobGroups = UploadGroups<BlobUpload>
