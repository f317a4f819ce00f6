import Dispatch
import Glibc
import Postgres
import ShaCache
import Synchronization

/// Something that may be stored together with others.
protocol GroupedUpload: Sendable {
    /// Of those with the same bytes here, one at a time is under way: the others wait for the next group.
    var exclusion: [UInt8] { get }
}

/// After which a group is slow, for a disk or for a lock: several times what a COMMIT takes on a slow disk.
private let groupTimeout = DispatchTimeInterval.milliseconds(100)

/// What several threads of a process store at once, one of them stores for all in one transaction.
///
/// No upload waits for company: one that comes while no group is under way leads the next one at once. Those that come
/// meanwhile wait for its end, and go together; but not for long: past a group that takes its time, the next one goes.
/// Groups are private to a process: mutual exclusion is the database's locks.
public final class UploadGroups<Upload: Sendable>: Sendable {
    /// One upload, and the thread that waits for its outcome.
    final class GroupMember: Sendable {
        let upload: Upload
        private let orders = Mutex<[GroupOrder]>([])
        private let isOrdered = DispatchSemaphore(value: 0)

        init(_ upload: Upload) { self.upload = upload }

        func order(_ order: GroupOrder) {
            orders.withLock { $0.append(order) }
            isOrdered.signal()
        }

        /// - Returns: nil when none came in that time.
        fileprivate func nextOrder(within timeout: DispatchTimeInterval) -> GroupOrder? {
            guard isOrdered.wait(timeout: .now() + timeout) == .success else { return nil }
            return orders.withLock { $0.removeFirst() }
        }
    }

    enum GroupOrder: Sendable {
        /// Stores what waits, itself the first, and gives each its outcome.
        case lead
        /// A step that each does in its own thread.
        case step(@Sendable () -> Void)
        case end(GroupOutcome)
    }

    enum GroupOutcome: Sendable {
        case stored
        /// It is to be decided by itself, for whatever reason; nothing was stored of it.
        case alone
        case failed(any Error)
    }

    private struct GroupQueue {
        var waiting: [GroupMember] = []
        /// Of those under way, by their leaders: until when others wait for it.
        var deadlines: [ObjectIdentifier: DispatchTime] = [:]
        var busy: Set<[UInt8]> = []
    }

    private let state = Mutex(GroupQueue())
    private let mostGroups: Int
    private let mostMembers: Int

    /// - Parameters:
    ///   - mostGroups: that are under way at once, all but one of them slow. While one commits, the next is gathered.
    ///   - mostMembers: of one group.
    public init(mostGroups: Int = 4, mostMembers: Int = 32) {
        self.mostGroups = mostGroups
        self.mostMembers = mostMembers
    }
}

extension UploadGroups where Upload: GroupedUpload {
    /// Waits until an upload is stored, by this thread or another.
    ///
    /// - Parameter lead: stores a group, and orders each member's end.
    func submit(_ upload: Upload, lead: ([GroupMember]) -> Void) -> GroupOutcome {
        let member = GroupMember(upload)
        state.withLock {
            $0.waiting.append(member)
            startGroups(&$0)
        }
        while true {
            switch member.nextOrder(within: groupTimeout) {
            case nil: state.withLock { startGroups(&$0) }
            case .lead:
                // No wait: where a processor is free, this returns at once. Where none is, threads with an upload ready
                // join this group.
                sched_yield()
                let members = gather(behind: member)
                lead(members)
                finish(members)
            case .step(let step): step()
            case .end(let outcome): return outcome
            }
        }
    }

    private func finish(_ members: [GroupMember]) {
        state.withLock {
            $0.deadlines[ObjectIdentifier(members[0])] = nil
            for member in members { $0.busy.remove(member.upload.exclusion) }
            startGroups(&$0)
        }
    }

    /// Lets the first that may be stored now lead a group. The others wait for uploads of the same that are under way.
    private func startGroups(_ state: inout GroupQueue) {
        let now = DispatchTime.now()
        while state.deadlines.count < mostGroups, state.deadlines.values.allSatisfy({ $0 <= now }),
            let first = state.waiting.firstIndex(where: { !state.busy.contains($0.upload.exclusion) })
        {
            let leader = state.waiting.remove(at: first)
            state.busy.insert(leader.upload.exclusion)
            state.deadlines[ObjectIdentifier(leader)] = now + groupTimeout
            leader.order(.lead)
        }
    }

    private func gather(behind leader: GroupMember) -> [GroupMember] {
        state.withLock { state in
            var members = [leader]
            var busy = state.busy
            state.waiting.removeAll { member in
                guard members.count < mostMembers, busy.insert(member.upload.exclusion).inserted else { return false }
                members.append(member)
                return true
            }
            state.busy = busy
            return members
        }
    }
}

/// The files of a group of blobs, on their way to where readers look.
struct PublishedGroup {
    private let members: [BlobGroups.GroupMember]
    private let files: LocalBlobs
    /// What is to be recorded of each: new or duplicate; nil: nothing.
    private(set) var verdicts: [String?]
    /// Of those whose file could not be published.
    private var errors: [Int: any Error] = [:]

    /// Since when a member's directory is too slow for the others. Longer than a flush of a disk usually takes.
    private static let timeout = DispatchTimeInterval.milliseconds(50)

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

    /// Of one, in this thread. Of several, each in its own: fsyncs at the same time join in one flush, and of the others
    /// none waits for a slow one. The leader, whose thread this is, only waits; the first of the others carries its step
    /// behind its own, unless it is too late for that by then.
    private mutating func synchronize(_ linked: [Int]) {
        let results = Results()
        let files = files
        func work(_ index: Int) -> @Sendable () -> Void {
            let digest = members[index].upload.digest
            return { results.set(index, Result { try files.synchronizeShelf(of: digest) }) }
        }
        let deadline = DispatchTime.now() + Self.timeout
        if linked.count == 1 {
            work(linked[0])()
        } else {
            for index in linked where index > 0 { members[index].order(.step(work(index))) }
            if linked.first == 0 {
                let leaders = work(0)
                members[linked[1]].order(.step { if .now() < deadline { leaders() } })
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
    func wait(for count: Int, until deadline: DispatchTime) -> [Int: Result<Void, any Error>] {
        for _ in 0..<count where isSet.wait(timeout: deadline) == .timedOut { break }
        return results.withLock { $0 }
    }
}
