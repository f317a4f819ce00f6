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

/// After which a group is slow, and the next one goes past it: several times what a COMMIT takes on a slow disk. What
/// needs a lock that the slow one holds (its account's, where that has a quota) waits for it all the same, alone.
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
    /// - Parameter lead: stores a group, and orders each member's end. When it calls its second argument, the next group
    ///   may begin before it returns.
    func submit(_ upload: Upload, lead: ([GroupMember], _ release: () -> Void) -> Void) -> GroupOutcome {
        let member = GroupMember(upload)
        state.withLock {
            $0.waiting.append(member)
            startGroup(&$0)
        }
        while true {
            switch member.nextOrder(within: groupTimeout) {
            case nil: state.withLock { startGroup(&$0) }
            case .lead:
                // No wait: where a processor is free, this returns at once. Where none is, threads with an upload ready
                // join this group.
                sched_yield()
                let members = gather(behind: member)
                var isReleased = false
                let release = {
                    if !isReleased { self.finish(members) }
                    isReleased = true
                }
                lead(members, release)
                release()
            case .step(let step): step()
            case .end(let outcome): return outcome
            }
        }
    }

    private func finish(_ members: [GroupMember]) {
        state.withLock {
            $0.deadlines[ObjectIdentifier(members[0])] = nil
            for member in members { $0.busy.remove(member.upload.exclusion) }
            startGroup(&$0)
        }
    }

    /// Lets the first that may be stored now lead a group. The others wait for uploads of the same that are under way.
    private func startGroup(_ state: inout GroupQueue) {
        let now = DispatchTime.now()
        guard state.deadlines.count < mostGroups, state.deadlines.values.allSatisfy({ $0 <= now }),
            let first = state.waiting.firstIndex(where: { !state.busy.contains($0.upload.exclusion) })
        else { return }
        let leader = state.waiting.remove(at: first)
        state.busy.insert(leader.upload.exclusion)
        state.deadlines[ObjectIdentifier(leader)] = now + groupTimeout
        leader.order(.lead)
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
