import Postgres
public import ShaCache

extension BlobRepository {
    /// Hides a blob, and blocks its name until this is lifted.
    ///
    /// - Throws: `Refusal.nothingToWithdraw`, or `.notAuthorized` when the blob is another account's too.
    public func withdraw(_ digest: Digest, _ withdrawal: Withdrawal) throws -> WithdrawalResult {
        do {
            return try session.journaling(in: files) {
                try session.lock(.blob(digest))
                let replaced = try checkMayWithdraw(withdrawal, of: digest)
                let withdrawals = Withdrawals(session)
                let number = try withdrawals.insert(withdrawal, of: .blob, subject: digest.description)
                try connection.run(
                    "UPDATE shacache.blob SET withdrawal_id = \(number) WHERE sha512 = \(digest.bytes)")
                try session.audit.append(
                    "blob withdraw", of: digest.description, by: withdrawal.actor,
                    detail: "withdrawal \(number): \(withdrawal.reason.text)")
                session.note(try JournalFacts(session).hidden(by: number))
                if let replaced { try withdrawals.replace(replaced, by: number, withdrawal.actor) }
                try files.hide(digest)
                return WithdrawalResult(number: number, count: 1)
            }
        } catch let refusal as Refusal {
            // Nothing was moved.
            throw refusal
        } catch let error as NotJournaled {
            // It is withdrawn.
            throw error
        } catch {
            // Rolled back. Or the outcome is unknown, when the database went away in the commit: then this asks it.
            _ = try? session.retryingWhileUnavailable { try restoreFile(digest) }
            throw error
        }
    }

    /// - Returns: the account's own withdrawal of which this one takes the place.
    private func checkMayWithdraw(_ withdrawal: Withdrawal, of digest: Digest) throws -> Withdrawal.Number? {
        let account = withdrawal.account?.id
        // The withdrawal's row first, as lifting does, or the two could deadlock.
        try connection.run(
            """
            SELECT FROM shacache.withdrawal
            WHERE id = (SELECT withdrawal_id FROM shacache.blob WHERE sha512 = \(digest.bytes)) FOR UPDATE
            """)
        let found = try connection.run(
            """
            SELECT withdrawal_id, (account_id = \(account)) IS TRUE AND NOT is_shared FROM shacache.blob
            WHERE sha512 = \(digest.bytes) AND \(withdrawal.hideable) FOR UPDATE
            """
        ).first
        guard let found else { throw Refusal.nothingToWithdraw("no blob has the SHA-512 \(digest)") }
        guard !withdrawal.isByOperator else { return found.int(0) }
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

    /// Shows again what was withdrawn. Of a withdrawal that is lifted already, what a crash kept from being shown.
    ///
    /// - Returns: false when a blob's bytes are gone: the next upload of them is taken again, and brings them back.
    public func lift(_ number: Withdrawal.Number, by actor: String) throws -> Bool {
        let withdrawals = Withdrawals(session)
        let digest = try withdrawals.blob(of: number)
        if let digest, case .damaged(let damage) = try files.hiddenPresence(of: digest) {
            throw AdministrationError.cannotLift(number, "the file withdrawn/\(digest) \(damage)")
        }
        do {
            try withdrawals.clear(number, by: actor, in: files)
        } catch AdministrationError.cannotLift(_, let why) {
            guard let digest, !files.isVisible(digest), try restoreFile(digest) else {
                throw AdministrationError.cannotLift(number, why)
            }
        } catch let error as NotJournaled {
            // It is lifted.
            if let digest { try restoreFile(digest) }
            throw error
        }
        guard let digest else { return true }
        // A worker may have restored it first, or it was withdrawn anew.
        return try restoreFile(digest) || files.exists(digest)
    }
}
