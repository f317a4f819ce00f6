import CLinux
import Glibc

/// State that threads share, and whose changes they wait for.
///
/// `@unchecked Sendable`: the state is touched only while the mutex is held.
public final class Monitor<State>: @unchecked Sendable {
    private var state: State
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    public init(_ state: State) {
        self.state = state
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Changes the state, and wakes the waiting threads.
    public func change(_ body: (inout State) -> Void) {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        body(&state)
        pthread_cond_broadcast(changed)
    }

    /// The same, but that one of the waiting threads is woken, where any of them can do what there is to do.
    public func changeWakingOne<Result>(_ body: (inout State) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        defer { pthread_cond_signal(changed) }
        return body(&state)
    }

    /// The same, but that no thread is woken.
    public func changeQuietly<Result>(_ body: (inout State) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&state)
    }

    /// Waits until `body` finds in the state what it looks for, at most so long.
    ///
    /// - Returns: nil when it has not by then.
    public func wait<Result>(atMost limit: Duration, for body: (inout State) -> Result?) -> Result? {
        var end = timespec()
        clock_gettime(CLOCK_MONOTONIC, &end)
        let nanoseconds = end.tv_nsec + Int(limit / .nanoseconds(1))
        end.tv_sec += nanoseconds / 1_000_000_000
        end.tv_nsec = nanoseconds % 1_000_000_000
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = body(&state) { return result }
            guard pthread_cond_clockwait(changed, mutex, CLOCK_MONOTONIC, &end) == 0 else { return body(&state) }
        }
    }

    /// Waits until `body` finds in the state what it looks for.
    public func wait<Result>(for body: (inout State) throws -> Result?) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = try body(&state) { return result }
            pthread_cond_wait(changed, mutex)
        }
    }
}

/// Work that some threads hand to others, in order, until it is closed.
public final class WorkQueue<Element: Sendable>: Sendable {
    private struct Backlog {
        var waiting: [Element] = []
        /// How many of `waiting` are taken: removing each by itself would move all the others.
        var taken = 0
        var isClosed = false

        mutating func take(_ limit: Int) -> [Element] {
            let elements = Array(waiting[taken...].prefix(limit))
            taken += elements.count
            if taken * 2 > waiting.count {
                waiting.removeFirst(taken)
                taken = 0
            }
            return elements
        }
    }

    private let state = Monitor(Backlog())

    public init() {}

    public func add(_ element: Element) { state.changeWakingOne { $0.waiting.append(element) } }

    /// Nothing more is added.
    public func close() { state.change { $0.isClosed = true } }

    /// Waits for work, and takes what is there, in the order in which it was added.
    ///
    /// - Returns: nothing when the queue is closed and empty.
    public func take(upTo limit: Int) -> [Element] {
        state.wait { state in
            guard state.waiting.count > state.taken else { return state.isClosed ? [] : nil }
            return state.take(limit)
        }
    }

    public func next() -> Element? { take(upTo: 1).first }
}
