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
                let replaced = try check(withdrawal, of: digest)
                let number = try record(withdrawal, of: .blob, subject: digest.description)
                try connection.run(
                    "UPDATE shacache.blob SET withdrawal_id = \(number) WHERE sha512 = \(digest.bytes)")
                try audit(
                    withdrawal.actor, "blob withdraw", digest.description,
                    "withdrawal \(number): \(withdrawal.reason.text)")
                if let replaced { try replace(replaced, by: number, withdrawal.actor) }
                try store.hide(digest)
                return Withdrawal.Outcome(number: number, count: 1)
            }
        } catch let refusal as Refusal {
            // Nothing was moved.
            throw refusal
        } catch {
            // Rolled back. Or nobody knows, when the database went away in the commit: then this asks it.
            _ = try? putBack(digest, in: store)
            throw error
        }
    }

    /// - Returns: the account's own withdrawal of which this one takes the place.
    private func check(_ withdrawal: Withdrawal, of digest: Digest) throws -> Withdrawal.Number? {
        let account = withdrawal.account?.id
        // Before what it hides, as whoever lifts it locks it.
        try connection.run(
            """
            SELECT FROM shacache.withdrawal
            WHERE id = (SELECT withdrawal_id FROM shacache.blob WHERE sha512 = \(digest.bytes)) FOR UPDATE
            """)
        let found = try connection.run(
            """
            SELECT withdrawal_id, account_id = \(account) AND NOT is_shared FROM shacache.blob
            WHERE sha512 = \(digest.bytes) AND \(withdrawal.hideable) FOR UPDATE
            """
        ).first
        guard let found else { throw Refusal.nothingToWithdraw("no blob has the SHA-512 \(digest)") }
        guard !withdrawal.isOperators else { return found.int(0) }
        let isNamedByOthers = try connection.run(
            """
            SELECT EXISTS (
                SELECT FROM shacache.entry
                WHERE sha512 = \(digest.bytes) AND withdrawal_id IS NULL AND (account_id <> \(account) OR is_shared))
            """
        ).first!.bool(0)
        guard found.bool(1), !isNamedByOthers else {
            throw Refusal.notAuthorized(
                "other accounts have uploaded this blob, or list it: an operator can withdraw it")
        }
        return nil
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

    /// The hidden files of blobs that aren't withdrawn.
    public func hiddenInVain(in store: BlobStore) throws -> [Digest] {
        let names = try store.hiddenBlobs().map(\.description)
        return try connection.run(
            """
            SELECT sha512 FROM shacache.blob
            WHERE sha512 IN (SELECT decode(name, 'hex') FROM unnest(\(names)::text[]) AS name)
                AND withdrawal_id IS NULL
            """
        ).map { Digest(bytes: $0.bytes(0)!) }
    }

    /// The withdrawn blobs whose files lie where readers look.
    public func exposedBlobs(in store: BlobStore) throws -> [Digest] {
        var digests: [Digest] = []
        try BlobRows(session: session).forEachWithdrawnBlob { if store.shows($0.digest) { digests.append($0.digest) } }
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
        return try BlobRows(session: session).isWithdrawn(digest) == true && store.shows(digest)
    }

    /// Shows again what was withdrawn. Of a withdrawal that is lifted already, what a crash kept from being shown.
    ///
    /// - Returns: false when a blob's bytes are gone: the next upload of them is taken again, and brings them back.
    public func lift(_ number: Withdrawal.Number, in store: BlobStore, by actor: String) throws -> Bool {
        let digest = try blob(of: number)
        if let digest, case .damaged(let damage) = try store.presence(ofHidden: digest) {
            throw AdministrationError.cannotLift(number, "the file withdrawn/\(digest) \(damage)")
        }
        do {
            try clear(number, by: actor)
        } catch AdministrationError.cannotLift(_, let why) {
            guard let digest, !store.shows(digest), try putBack(digest, in: store) else {
                throw AdministrationError.cannotLift(number, why)
            }
        }
        guard let digest else { return true }
        // A worker may have been first, or somebody has withdrawn it anew.
        return try putBack(digest, in: store) || store.holds(digest)
    }

    private func blob(of number: Withdrawal.Number) throws -> Digest? {
        try connection.run("SELECT subject FROM shacache.withdrawal WHERE id = \(number) AND target = 'blob'")
            .first.flatMap { Digest($0.text(0)!) }
    }

    private func clear(_ number: Withdrawal.Number, by actor: String) throws {
        try change(by: actor, "withdrawal lift", "\(number)") {
            try close(number, by: actor)
            try connection.run("UPDATE shacache.entry SET withdrawal_id = NULL WHERE withdrawal_id = \(number)")
            try connection.run("UPDATE shacache.blob SET withdrawal_id = NULL WHERE withdrawal_id = \(number)")
        }
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
