import Dispatch
import Postgres
import ShaCache
import Synchronization

extension BlobRepository {
    func submit(_ upload: BlobUpload) throws {
        switch groups.submit(upload, lead: storeGroup) {
        case .stored: return
        case .failed(let error): throw error
        case .alone: try session.retryingWhileUnavailable { try storeAlone(upload) }
        }
    }

    /// What needs no closer look, in two round trips, with the files in between. An error of the database rolls all back,
    /// and each goes by itself.
    private func storeGroup(_ members: [BlobGroups.GroupMember]) {
        var group = PublishedGroup(members, files: files)
        let rows: SQL = "ARRAY[\(members.map(\.upload.row))]::shacache.blob_upload[]"
        do {
            try connection.transaction("SELECT * FROM unnest(shacache.admit_blobs(\(rows)))") { verdicts in
                group.publish(verdicts.map { $0.text(0) })
                let verdicts = group.verdicts.map { "\($0)" as SQL }
                return "SELECT shacache.record_blobs(\(rows), ARRAY[\(verdicts)]::text[])"
            }
            group.end(.stored)
        } catch let error as DatabaseError where error.kind == .unknownOutcome {
            group.end(.failed(error))
        } catch {
            group.end(.alone)
        }
    }

    /// Decides everything step by step, and waits for its locks.
    private func storeAlone(_ upload: BlobUpload) throws {
        let (digest, account) = (upload.digest, upload.record.account)
        var isPublished = false
        do {
            try connection.transaction {
                try session.lock(.blob(digest))
                try Identities(session).confirmIdentity(of: upload.record)
                let known = try find(digest, for: account)?.blob
                if known == nil { try AccountQuotas(session).checkQuota(of: account, adding: upload.record.bytes!) }
                isPublished = true
                try files.linkDurably(upload.descriptor, as: digest)
                if let known { try liftForUpload(digest, known, for: account) }
                try connection.run(
                    """
                    SELECT shacache.record_blobs(
                        ARRAY[\(upload.row)]::shacache.blob_upload[], ARRAY[\(known == nil ? "new" : "duplicate")])
                    """)
            }
        } catch {
            // Rolled back: what was withdrawn still is, and must not be seen.
            if isPublished { _ = try? hideFile(digest) }
            throw error
        }
    }

    private func liftForUpload(_ digest: Digest, _ known: ExistingUpload, for account: Account?) throws {
        try Withdrawals(session).lift(known, for: account, "blob \(digest)") { number in
            try connection.run(
                """
                UPDATE shacache.blob SET withdrawal_id = NULL
                WHERE sha512 = \(digest.bytes) AND withdrawal_id = \(number)
                """)
        }
    }
}
