import Glibc
import Synchronization

/// A thread of the system.
public struct Thread: Sendable {
    private let handle: pthread_t

    private final class Closure: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// - Throws: when the system has no more threads.
    public init(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        let work = Unmanaged.passRetained(Closure(body))
        var handle = pthread_t()
        let code = pthread_create(
            &handle, nil,
            { argument in
                Unmanaged<Closure>.fromOpaque(argument!).takeRetainedValue().body()
                return nil
            }, work.toOpaque())
        guard code == 0 else {
            work.release()
            throw SystemError("start a thread", errno: code)
        }
        self.handle = handle
    }

    /// Waits for its end; once.
    public func join() { pthread_join(handle, nil) }

    /// Instead of `join`: its end is not waited for.
    public func detach() { pthread_detach(handle) }
}

/// Threads for work of which each piece may take long. One is started where none is idle; then it stays for other
/// pieces, of which many take less than a thread's start and end.
public final class ThreadReserve: Sendable {
    public typealias Work = @Sendable () -> Void

    private struct State {
        /// For threads that are idle, each of which takes one.
        var waiting: [Work] = []
        var idle = 0
    }

    private let state = Monitor(State())
    private let limit: Int

    /// - Parameter limit: how many idle threads stay.
    public init(limit: Int) { self.limit = limit }

    /// Does it in another thread.
    ///
    /// - Throws: when none is idle, and the system has no more.
    public func start(_ work: @escaping Work) throws(SystemError) {
        let isTaken = state.changeWakingOne { state in
            guard state.idle > state.waiting.count else { return false }
            state.waiting.append(work)
            return true
        }
        guard !isTaken else { return }
        // What a piece of work holds, such as an open file, is let go with it, and not when its thread ends.
        let first = Monitor<Work?>(work)
        try Thread { [self] in
            first.changeQuietly { $0.take() }?()
            while doNext() {}
        }.detach()
    }

    private func doNext() -> Bool {
        guard let work = next() else { return false }
        work()
        return true
    }

    /// - Returns: nil when enough others are idle.
    private func next() -> Work? {
        let stays = state.changeQuietly { state in
            guard state.idle < limit else { return false }
            state.idle += 1
            return true
        }
        guard stays else { return nil }
        return state.wait { state in
            guard let work = state.waiting.popLast() else { return nil }
            state.idle -= 1
            return work
        }
    }
}

/// Work that a thread of its own does, and its result, which one other thread waits for.
public final class Background<Value: Sendable>: Sendable {
    private let outcome = Monitor<Result<Value, any Error>?>(nil)
    private let thread: Thread

    public init(_ work: @escaping @Sendable () throws -> Value) throws(SystemError) {
        thread = try Thread { [outcome] in
            let result = Result { try work() }
            outcome.change { $0 = result }
        }
    }

    /// Waits for the end; once.
    public func value() throws -> Value {
        thread.join()
        return try outcome.wait { $0 }.get()
    }
}

/// How many threads can compute at once.
public let processorCount = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

/// Does `work` for each element, on a few threads at once; returns when all are done. One element needs no thread.
public func concurrently<Element: Sendable>(
    _ elements: [Element], threads: Int, _ work: @escaping @Sendable (Int, Element) -> Void
) throws {
    guard elements.count > 1 else {
        if let only = elements.first { work(0, only) }
        return
    }
    let next = Counter()
    let crew = try (0..<min(threads, elements.count)).map { _ in
        try Thread {
            while case let index = next.take(), index < elements.count { work(index, elements[index]) }
        }
    }
    for member in crew { member.join() }
}

/// Hands out 0, 1, 2 and so on, each once.
private final class Counter: Sendable {
    private let next = Atomic(0)

    func take() -> Int { next.wrappingAdd(1, ordering: .relaxed).oldValue }
}
