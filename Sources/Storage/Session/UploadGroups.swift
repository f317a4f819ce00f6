import Dispatch
import Synchronization

/// Something that may be stored together with others.
protocol GroupedUpload: Sendable {
    /// Of those with the same bytes here, one at a time is under way: the others wait for the next group.
    var exclusion: [UInt8] { get }
}

/// What several threads of a process store at once, one of them stores for all in one transaction.
///
/// There is no timer: an upload that comes while few groups are under way leads the next one at once, with all that
/// wait by then; so a lone upload never waits. Groups are private to a process: mutual exclusion is the database's
/// locks.
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

        fileprivate func nextOrder() -> GroupOrder {
            isOrdered.wait()
            return orders.withLock { $0.removeFirst() }
        }
    }

    enum GroupOrder: Sendable {
        /// Stores these, itself the first of them, and gives each its outcome.
        case lead([GroupMember])
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
        var groups = 0
        var busy: Set<[UInt8]> = []
    }

    private let state = Mutex(GroupQueue())
    private let mostGroups: Int
    private let mostMembers: Int

    /// - Parameters:
    ///   - mostGroups: that are under way at once. One: while it commits, the next is gathered; there are other workers.
    ///   - mostMembers: of one group.
    public init(mostGroups: Int = 1, mostMembers: Int = 32) {
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
            switch member.nextOrder() {
            case .lead(let members):
                lead(members)
                finish(members)
            case .step(let step): step()
            case .end(let outcome): return outcome
            }
        }
    }

    private func finish(_ members: [GroupMember]) {
        state.withLock {
            $0.groups -= 1
            for member in members { $0.busy.remove(member.upload.exclusion) }
            startGroups(&$0)
        }
    }

    private func startGroups(_ state: inout GroupQueue) {
        while state.groups < mostGroups, !state.waiting.isEmpty {
            var members: [GroupMember] = []
            var busy = state.busy
            state.waiting.removeAll { member in
                guard members.count < mostMembers, busy.insert(member.upload.exclusion).inserted else {
                    return false
                }
                members.append(member)
                return true
            }
            state.busy = busy
            // The others wait for uploads of the same that are under way.
            guard let leader = members.first else { return }
            state.groups += 1
            leader.order(.lead(members))
        }
    }
}
