import Storage

/// What a mirror has yet to do, in order, and how far it has come. The threads of a mirror share one.
struct MirrorBacklog {
    struct Task {
        let item: MirrorItem
        /// Of the feed, by which it came; nil: by no feed, or once more.
        let number: Int?
    }

    /// Blobs of keys that were just listed go first, so that a key is soon complete.
    private var urgent: [Task] = []
    private var waiting: [Task] = []
    /// How many of `waiting` are taken.
    private var taken = 0
    /// Which are waiting: nothing waits twice.
    private var queued: Set<MirrorItem> = []
    /// Which are being done, and by how many threads.
    private var atWork: [MirrorItem: Int] = [:]
    /// Tasks that are not done yet of each number of the feed.
    private var open: [Int: Int] = [:]
    /// The last number of the feed that was read.
    private var read = MirrorRecord.Position()
    private(set) var isClosed = false
    private var outcome = MirrorRecord.Outcome()
    private(set) var sums = MirrorSums()
    /// Since when nothing can be done, and why.
    private(set) var trouble: Trouble?

    struct Trouble {
        let since: ContinuousClock.Instant
        let reason: String
    }

    var count: Int { urgent.count + waiting.count - taken }
    var isIdle: Bool { count == 0 && atWork.isEmpty }

    // MARK: The thread that reads

    /// Nothing is to be done any more.
    mutating func close() { isClosed = true }

    /// - Parameter number: of the feed; nil: it failed before, and is on record.
    mutating func add(_ item: MirrorItem, number: Int? = nil) {
        guard number != nil || atWork[item] == nil else { return }
        // The one that waits comes behind this one's cause, and is on record or has a number of the feed, too.
        guard queued.insert(item).inserted else { return }
        waiting.append(Task(item: item, number: number))
        if let number { open[number, default: 0] += 1 }
    }

    /// All lines up to it are added.
    mutating func noteRead(_ position: MirrorRecord.Position) { read = position }

    /// What came of items since the last time.
    ///
    /// - Parameter isCurrent: whether the feed has no more than what was read.
    mutating func takeOutcome(ofFeed: Bool, isCurrent: Bool) -> MirrorRecord.Outcome {
        var outcome = outcome
        if ofFeed {
            var position = read
            if let first = open.keys.min() { position.number = first - 1 }
            outcome.position = position
            outcome.isCurrent = isCurrent && open.isEmpty
        }
        self.outcome = MirrorRecord.Outcome()
        return outcome
    }

    // MARK: The threads that fetch

    mutating func take() -> Task? {
        guard count > 0 else { return nil }
        let task = urgent.popLast() ?? takeWaiting()
        queued.remove(task.item)
        atWork[task.item, default: 0] += 1
        return task
    }

    private mutating func takeWaiting() -> Task {
        defer {
            taken += 1
            // Removing each by itself would move all the others.
            if taken * 2 > waiting.count {
                waiting.removeFirst(taken)
                taken = 0
            }
        }
        return waiting[taken]
    }

    /// - Parameter lacking: what is to be done for it, too.
    mutating func finish(_ task: Task, lacking: [MirrorItem] = []) {
        for item in lacking.reversed() where queued.insert(item).inserted {
            urgent.append(Task(item: item, number: task.number))
            if let number = task.number { open[number, default: 0] += 1 }
        }
        outcome.done.append(task.item)
        outcome.failed[task.item] = nil
        end(task)
    }

    mutating func fail(_ task: Task, _ failure: MirrorFailure) {
        outcome.failed[task.item] = failure
        end(task)
    }

    /// It is to be done again, since the reason says nothing about it.
    mutating func putBack(_ task: Task, because reason: String) {
        trouble = trouble ?? Trouble(since: .now, reason: reason)
        rest(task)
        guard queued.insert(task.item).inserted else { return closeNumber(of: task) }
        urgent.insert(task, at: 0)
    }

    private mutating func end(_ task: Task) {
        trouble = nil
        rest(task)
        closeNumber(of: task)
    }

    private mutating func rest(_ task: Task) {
        let others = atWork[task.item]! - 1
        atWork[task.item] = others > 0 ? others : nil
    }

    private mutating func closeNumber(of task: Task) {
        guard let number = task.number, let left = open[number] else { return }
        open[number] = left > 1 ? left - 1 : nil
    }

    mutating func count(_ change: (inout MirrorSums) -> Void) { change(&sums) }
}

/// What a mirror has done so far.
public struct MirrorSums: Equatable, Sendable {
    /// Whose lists were asked for.
    public var keys = 0
    /// Fetched.
    public var blobs = 0
    /// Of these.
    public var bytes = 0
    /// Blobs that were here already.
    public var present = 0
    /// Blobs that their upstream has withdrawn, and that went here, too.
    public var dropped = 0
    /// What no upstream has.
    public var absent = 0
    public var failed = 0

    public init() {}
}
