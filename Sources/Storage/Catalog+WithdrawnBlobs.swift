import Postgres
public import ShaCache

/// A file is where readers look only as long as its blob isn't withdrawn. So withdrawing moves it before the commit, and
/// lifting behind it; a crash in between leaves it hidden although its blob isn't withdrawn: the blob is 404 until
/// `putBack`, or until the next upload of the same bytes. The other way round a backup can bring it back where readers
/// look, or an upload that did not commit: until `hideAgain`. Workers look after both at their start and every hour.
extension Catalog {
    /// Hides a blob, and blocks its name until this is lifted.
    ///
    /// - Throws: `Refusal.nothingToWithdraw`, or `.notAuthorized` when the blob is another account's too.
    public func withdrawBlob(
        _ digest: Digest, in store: BlobStore, _ withdrawal: Withdrawal
    ) throws -> Withdrawal.Outcome {
        do {
            return try connection.transaction {
                try lock(digest)
                try check(withdrawal, of: digest)
                let number = try record(withdrawal, of: .blob, subject: digest.description)
                try connection.run(
                    "UPDATE shacache.blob SET withdrawal_id = \(number) WHERE sha512 = \(digest.bytes)")
                try audit(
                    withdrawal.actor, "blob withdraw", digest.description,
                    "withdrawal \(number): \(withdrawal.reason.text)")
                try store.hide(digest)
                return Withdrawal.Outcome(number: number, count: 1)
            }
        } catch {
            // Rolled back. Or nobody knows, when the database went away in the commit: then this asks it.
            _ = try? putBack(digest, in: store)
            throw error
        }
    }

    private func check(_ withdrawal: Withdrawal, of digest: Digest) throws {
        let account = withdrawal.account?.id
        let found = try connection.run(
            """
            SELECT account_id = \(account) AND NOT is_shared FROM shacache.blob
            WHERE sha512 = \(digest.bytes) AND withdrawal_id IS NULL FOR UPDATE
            """
        ).first
        guard let found else { throw Refusal.nothingToWithdraw("no blob has the SHA-512 \(digest)") }
        guard !withdrawal.isOperators else { return }
        let isNamedByOthers = try connection.run(
            """
            SELECT EXISTS (
                SELECT FROM shacache.entry
                WHERE sha512 = \(digest.bytes) AND withdrawal_id IS NULL AND (account_id <> \(account) OR is_shared))
            """
        ).first!.bool(0)
        guard found.bool(0), !isNamedByOthers else {
            throw Refusal.notAuthorized(
                "other accounts have uploaded this blob, or list it: an operator can withdraw it")
        }
    }

    /// Shows a hidden file again, unless its blob is withdrawn.
    ///
    /// - Returns: whether there was one.
    @discardableResult
    public func putBack(_ digest: Digest, in store: BlobStore) throws -> Bool {
        try connection.transaction {
            try lock(digest)
            let isVisible = try connection.run(
                "SELECT withdrawal_id IS NULL FROM shacache.blob WHERE sha512 = \(digest.bytes)")
            guard isVisible.first?.bool(0) == true else { return false }
            return try store.putBack(digest)
        }
    }

    /// The withdrawn blobs whose files lie where readers look.
    public func exposedBlobs(in store: BlobStore) throws -> [Digest] {
        var digests: [Digest] = []
        try forEachWithdrawnBlob { if store.shows($0.digest) { digests.append($0.digest) } }
        return digests
    }

    /// Hides the file of a blob that is withdrawn.
    ///
    /// - Returns: whether it was to be seen.
    @discardableResult
    public func hideAgain(_ digest: Digest, in store: BlobStore) throws -> Bool {
        try connection.transaction {
            guard try shows(digest, in: store) else { return false }
            try store.hide(digest)
            return true
        }
    }

    func isExposed(_ digest: Digest, in store: BlobStore) throws -> Bool {
        try connection.transaction { try shows(digest, in: store) }
    }

    /// Behind the lock: whoever uploads or withdraws the blob at this moment is waited for.
    private func shows(_ digest: Digest, in store: BlobStore) throws -> Bool {
        try lock(digest)
        return try isWithdrawn(digest) == true && store.shows(digest)
    }

    /// Shows again what was withdrawn.
    ///
    /// - Returns: false when a blob's bytes are gone: the next upload of them is taken again, and brings them back.
    public func lift(_ number: Withdrawal.Number, in store: BlobStore, by actor: String) throws -> Bool {
        let hidden = try connection.run("SELECT sha512 FROM shacache.blob WHERE withdrawal_id = \(number)")
        let digest = hidden.first.map { Digest(bytes: $0.bytes(0)!) }
        if let digest, case .damaged(let damage) = try store.presence(ofHidden: digest) {
            throw AdministrationError.cannotLift(number, "the file withdrawn/\(digest) \(damage)")
        }
        try change(by: actor, "withdrawal lift", "\(number)") {
            try close(number, by: actor)
            try connection.run("UPDATE shacache.entry SET withdrawal_id = NULL WHERE withdrawal_id = \(number)")
            try connection.run("UPDATE shacache.blob SET withdrawal_id = NULL WHERE withdrawal_id = \(number)")
        }
        return try digest.map { try putBack($0, in: store) } ?? true
    }

    private func close(_ number: Withdrawal.Number, by actor: String) throws {
        let found = try connection.run(
            "SELECT lifted_at, lifted_by FROM shacache.withdrawal WHERE id = \(number) FOR UPDATE")
        guard let row = found.first else { throw AdministrationError.unknown("withdrawal", "\(number)") }
        if let lifted = row.text(0) {
            throw AdministrationError.cannotLift(number, "\(row.text(1)!) has lifted it, at \(lifted)")
        }
        try connection.run(
            "UPDATE shacache.withdrawal SET lifted_at = now(), lifted_by = \(actor) WHERE id = \(number)")
    }
}
