import Glibc
import Synchronization
import System

/// What only the database knows, written to the store as well: so that `Rebuild` makes a lost database again from the
/// store alone.
///
/// Each transaction that stores an entry, withdraws or lifts something is followed by its records (`JournalKind`),
/// which are durable before anybody is told that it succeeded. They come behind the COMMIT, since only then it is certain
/// that it happened: what a crash in between leaves out was not acknowledged; sending it again writes the record
/// (of a duplicate, too), and `shacache-admin journal` does.
///
/// Each process has files of its own, one for each day. The threads of a process write together, as `JournalQueue` has it.
public struct Journal {
    let files: LocalBlobs
    private var queue: JournalQueue { files.journalQueue }

    public init(in files: LocalBlobs) { self.files = files }

    /// Appends what a transaction did, which is committed.
    ///
    /// - Parameter session: is asked for accounts and signers that the day's file doesn't have yet.
    /// - Throws: `NotJournaled`.
    func append(_ records: JournalRecords, _ session: Session) throws(NotJournaled) {
        guard !records.isEmpty else { return }
        do {
            try files.requireSynchronized()
            let day = JournalFile.day()
            var records = records
            let lacking = records.names.subtracting(queue.names(of: day))
            if !lacking.isEmpty { records.add(try JournalFacts(session).describe(lacking)) }
            try queue.submit(records, of: day) { lines, day, file throws(StoreError) in
                try write(lines, of: day, to: &file)
            }
        } catch {
            queue.countFailure()
            throw NotJournaled(cause: error)
        }
    }

    /// An account that is new; one that stores something is written with that.
    public func append(account name: String, _ session: Session) throws {
        try append(JournalFacts(session).named(account: name), session)
    }

    /// A signer that is new.
    public func append(signer name: String, _ session: Session) throws {
        try append(JournalFacts(session).named(signer: name), session)
    }

    private func write(_ lines: [UInt8], of day: String, to file: inout JournalFile?) throws(StoreError) {
        if file?.day != day {
            file = nil
            file = try JournalFile(in: files, day: day)
        }
        let open = file!
        try files.notingFailedSynchronization { () throws(SystemError) in try open.append(lines, host: files.host) }
        try files.requireSynchronized()
    }
}

/// It is committed, and the journal doesn't have it.
public struct NotJournaled: Error, CustomStringConvertible {
    /// A `StoreError` or `DatabaseError`.
    public let cause: any Error

    public var description: String {
        """
        done, but not written to the store's journal: \(cause)
        hint: `shacache-admin journal`, on a machine that has the store, writes what the journal lacks
        """
    }
}

/// The group commit of a process's journal: of the threads that come while one writes, the next one writes for all, with one
/// write and one fdatasync.
final class JournalQueue: Sendable {
    /// What is written at once, and what came of it; touched under the monitor alone.
    final class Batch {
        let day: String
        var records = JournalRecords()
        var outcome: Result<Void, StoreError>?

        init(day: String) { self.day = day }
    }

    struct QueueState {
        /// In their order; of one day each.
        var waiting: [Batch] = []
        var isWriting = false
        var file: JournalFile?
        /// The accounts and signers that the file of that day has.
        var names = JournalRecords.Names()
        var day = ""
        var figures = JournalFigures()

        fileprivate mutating func end(
            _ batch: Batch, _ outcome: Result<Void, StoreError>, _ file: JournalFile?, took: Duration
        ) {
            (isWriting, self.file, batch.outcome) = (false, file, outcome)
            guard case .success = outcome else { return }
            if day != batch.day { (day, names) = (batch.day, JournalRecords.Names()) }
            names.formUnion(batch.records.names)
            figures.records += batch.records.count
            figures.writes += 1
            figures.duration += took
        }
    }

    let state = Monitor(QueueState())
    /// So that lookups don't meet at the monitor.
    private let hasFigures = Atomic(false)

    /// What the file of a day has of accounts and signers.
    func names(of day: String) -> JournalRecords.Names {
        state.wait { $0.day == day ? $0.names : JournalRecords.Names() }
    }

    /// Waits until these are durable.
    ///
    /// - Parameter write: is called by one thread at a time.
    func submit(
        _ records: JournalRecords, of day: String,
        write: ([UInt8], String, inout JournalFile?) throws(StoreError) -> Void
    ) throws(StoreError) {
        let batch = join(records, of: day)
        let turn: Turn = state.wait { state in
            if let outcome = batch.outcome { return .over(outcome) }
            guard !state.isWriting, state.waiting.first === batch else { return nil }
            state.isWriting = true
            state.waiting.removeFirst()
            return .write(batch.records, state.file)
        }
        switch turn {
        case .over(let outcome): try outcome.get()
        case .write(let records, var file):
            let begin = ContinuousClock.now
            let outcome = Result { () throws(StoreError) in try write(records.lines, day, &file) }
            state.change { $0.end(batch, outcome, file, took: begin.duration(to: .now)) }
            hasFigures.store(true, ordering: .relaxed)
            try outcome.get()
        }
    }

    private enum Turn {
        case over(Result<Void, StoreError>)
        case write(JournalRecords, JournalFile?)
    }

    private func join(_ records: JournalRecords, of day: String) -> Batch {
        state.wait { state in
            if state.waiting.last?.day != day { state.waiting.append(Batch(day: day)) }
            let batch = state.waiting.last!
            batch.records.add(records)
            return batch
        }
    }

    /// Counts one that was not appended.
    func countFailure() {
        state.change { $0.figures.failures += 1 }
        hasFigures.store(true, ordering: .relaxed)
    }

    /// What happened since this was asked for the last time; nil: nothing.
    func takeFigures() -> JournalFigures? {
        guard hasFigures.exchange(false, ordering: .relaxed) else { return nil }
        return state.wait { state in
            defer { state.figures = JournalFigures() }
            return state.figures
        }
    }
}

/// What a process's journal did.
public struct JournalFigures: Sendable {
    public fileprivate(set) var records = 0
    /// Each with one write and one fdatasync.
    public fileprivate(set) var writes = 0
    public fileprivate(set) var duration = Duration.zero
    /// Transactions that are committed, and that the journal lacks.
    public fileprivate(set) var failures = 0
}

extension LocalBlobs {
    /// What this process's journal did since this was called the last time; nil: nothing.
    public func journalFigures() -> JournalFigures? { journalQueue.takeFigures() }
}
