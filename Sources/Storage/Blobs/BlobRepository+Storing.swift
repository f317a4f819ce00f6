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

    /// What needs no closer look, in two round trips, with the files in between. An error of the database rolls all
    /// back, and each goes by itself.
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

/// A sealed body that is to become a blob, with all that its transaction needs to know.
public struct BlobUpload: Sendable, GroupedUpload {
    let digest: Digest
    /// Of the file, which is open until its upload is stored or refused.
    let descriptor: CInt
    let record: UploadRecord

    var exclusion: [UInt8] { digest.bytes }

    /// In the order of the columns of `blob_upload` in SQL.
    var row: SQL { "ROW(\(record.columns), \(digest.bytes))" }
}

/// The blobs that the threads of a process store at once.
public typealias BlobGroups = UploadGroups<BlobUpload>

/// The files of a group of blobs, on their way to where readers look.
struct PublishedGroup {
    private let members: [BlobGroups.GroupMember]
    private let files: LocalBlobs
    /// What is to be recorded of each: new or duplicate; nil: nothing.
    private(set) var verdicts: [String?]
    /// Of those whose file could not be published.
    private var errors: [Int: any Error] = [:]

    /// Since when a member's directory is too slow for the others. Longer than a flush of a disk usually takes.
    private static let deadline = DispatchTimeInterval.milliseconds(50)

    init(_ members: [BlobGroups.GroupMember], files: LocalBlobs) {
        self.members = members
        self.files = files
        verdicts = Array(repeating: nil, count: members.count)
    }

    /// Links each admitted file into place, under the locks of the blobs, and makes the names durable. One that fails,
    /// or takes too long, is left out: then its file lies there without a row, which is harmless.
    ///
    /// - Parameter verdicts: the database's.
    mutating func publish(_ verdicts: [String?]) {
        self.verdicts = verdicts
        for index in members.indices where verdicts[index] != nil {
            let upload = members[index].upload
            do {
                try files.link(upload.descriptor, as: upload.digest)
            } catch {
                leaveOut(index, error)
            }
        }
        synchronize(members.indices.filter { self.verdicts[$0] != nil })
    }

    private mutating func leaveOut(_ index: Int, _ error: (any Error)?) {
        verdicts[index] = nil
        errors[index] = error
    }

    /// Of one, in this thread. Of several, each in its own: fsyncs at the same time join in one flush, and a slow one
    /// holds up none. The leader, whose thread this is, only waits; the first of the others does its step behind its
    /// own.
    private mutating func synchronize(_ linked: [Int]) {
        let results = Results()
        let files = files
        func work(_ index: Int) -> @Sendable () -> Void {
            let digest = members[index].upload.digest
            return { results.set(index, Result { try files.synchronizeShelf(of: digest) }) }
        }
        if linked.count == 1 {
            work(linked[0])()
        } else {
            for index in linked where index > 0 { members[index].order(.step(work(index))) }
            if linked.first == 0 { members[linked[1]].order(.step(work(0))) }
        }
        let finished = results.wait(for: linked.count, atMost: Self.deadline)
        for index in linked {
            switch finished[index] {
            case .success: break
            case .failure(let error): leaveOut(index, error)
            case nil: leaveOut(index, nil)
            }
        }
    }

    /// Gives each member its outcome.
    ///
    /// - Parameter outcome: of those that were recorded.
    func end(_ outcome: BlobGroups.GroupOutcome) {
        for (index, member) in members.enumerated() {
            if let error = errors[index] {
                member.order(.end(.failed(error)))
            } else {
                member.order(.end(verdicts[index] == nil ? .alone : outcome))
            }
        }
    }
}

/// What became of steps in several threads.
private final class Results: Sendable {
    private let results = Mutex<[Int: Result<Void, any Error>]>([:])
    private let isSet = DispatchSemaphore(value: 0)

    func set(_ index: Int, _ result: Result<Void, any Error>) {
        results.withLock { $0[index] = result }
        isSet.signal()
    }

    /// - Returns: those that are there by then.
    func wait(for count: Int, atMost limit: DispatchTimeInterval) -> [Int: Result<Void, any Error>] {
        let deadline = DispatchTime.now() + limit
        for _ in 0..<count where isSet.wait(timeout: deadline) == .timedOut { break }
        return results.withLock { $0 }
    }
}
