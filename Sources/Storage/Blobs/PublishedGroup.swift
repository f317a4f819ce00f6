import Dispatch
import Postgres
import ShaCache
import Synchronization

/// Of a sealed file that is to become a blob.
protocol PublishedUpload: GroupedUpload {
    var digest: Digest { get }
    /// Of the file, which is open until its upload is stored or refused.
    var descriptor: CInt { get }
}

extension PublishedUpload {
    var exclusion: [UInt8] { digest.bytes }
}

/// Since when a member's directory is too slow for the others. Longer than a flush of a busy disk takes: what is left out is
/// linked and flushed once more.
private let publishTimeout = DispatchTimeInterval.milliseconds(250)

/// The files of a group of blobs, on their way to where readers look.
struct PublishedGroup<Upload: PublishedUpload> {
    private let members: [UploadGroups<Upload>.GroupMember]
    private let files: LocalBlobs
    /// What is to be recorded of each: new or duplicate; nil: nothing.
    private(set) var verdicts: [String?]
    /// Of those whose file could not be published.
    private var errors: [Int: any Error] = [:]

    init(_ members: [UploadGroups<Upload>.GroupMember], files: LocalBlobs) {
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

    /// Of a group of one, in this thread. Of several, each in its own: fsyncs at the same time join in one flush, and of the
    /// others none waits for a slow one. The leader, whose thread this is, only waits; one of the others carries its step,
    /// behind its own if it has one, unless it is too late for that by then.
    private mutating func synchronize(_ linked: [Int]) {
        let results = Results()
        let files = files
        func work(_ index: Int) -> @Sendable () -> Void {
            let digest = members[index].upload.digest
            return { results.set(index, Result { try files.synchronizeShelf(of: digest) }) }
        }
        let deadline = DispatchTime.now() + publishTimeout
        if members.count == 1 {
            for index in linked { work(index)() }
        } else {
            for index in linked where index > 0 { members[index].order(.step(work(index))) }
            if linked.first == 0 {
                let leaders = work(0)
                members[linked.count > 1 ? linked[1] : 1].order(.step { if .now() < deadline { leaders() } })
            }
        }
        let finished = results.wait(for: linked.count, until: deadline)
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
    func end(_ outcome: UploadGroups<Upload>.GroupOutcome) {
        for (index, member) in members.enumerated() {
            if let error = errors[index] {
                member.order(.end(.failed(error)))
            } else {
                member.order(.end(verdicts[index] == nil ? .alone : outcome))
            }
        }
    }
}

extension BlobRepository {
    /// Stores a group in two round trips, with the files in between. An error of the database rolls all back, and each goes by
    /// itself.
    ///
    /// - Parameters:
    ///   - admission: a text[] with what is to be recorded of each; NULL: it needs a closer look.
    ///   - record: the statement that records what was published, by the same.
    func publish<Upload: PublishedUpload>(
        _ members: [UploadGroups<Upload>.GroupMember], _ admission: SQL, record: (_ verdicts: SQL) -> SQL
    ) {
        var group = PublishedGroup(members, files: files)
        do {
            try connection.transaction("SELECT * FROM unnest(\(admission))") { verdicts in
                group.publish(verdicts.map { $0.text(0) })
                return record("\(group.verdicts)::text[]")
            }
            group.end(.stored)
        } catch let error as DatabaseError where error.kind == .unknownOutcome {
            group.end(.failed(error))
        } catch {
            group.end(.alone)
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
    func wait(for count: Int, until deadline: DispatchTime) -> [Int: Result<Void, any Error>] {
        for _ in 0..<count where isSet.wait(timeout: deadline) == .timedOut { break }
        return results.withLock { $0 }
    }
}
