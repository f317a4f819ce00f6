/// Work that some threads hand to others, in order, until it is closed.
public final class WorkQueue<Element: Sendable>: Sendable {
    private struct State {
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

    private let state = Monitor(State())

    public init() {}

    public func add(_ element: Element) { state.change { $0.waiting.append(element) } }

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
