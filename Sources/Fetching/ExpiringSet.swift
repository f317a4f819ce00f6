import Synchronization

/// Remembers names for a while, and not more of them than fit. Shared by the threads of a process.
final class ExpiringSet<Element: Hashable & Sendable>: Sendable {
    private let limit: Int
    private let elements = Mutex<[Element: ContinuousClock.Instant]>([:])

    /// - Parameter limit: how many are remembered; with more, those that expire first are forgotten.
    init(limit: Int) { self.limit = limit }

    func insert(_ element: Element, for duration: Duration, at now: ContinuousClock.Instant = .now) {
        elements.withLock { elements in
            if elements.count >= limit { Self.makeRoom(&elements, at: now) }
            elements[element] = now + duration
        }
    }

    func contains(_ element: Element, at now: ContinuousClock.Instant = .now) -> Bool {
        elements.withLock { $0[element].map { now < $0 } ?? false }
    }

    /// Halves them where none has expired, so that one that is inserted rarely waits for this.
    private static func makeRoom(_ elements: inout [Element: ContinuousClock.Instant], at now: ContinuousClock.Instant)
    {
        let before = elements.count
        elements = elements.filter { now < $0.value }
        guard elements.count > before / 2 else { return }
        let middle = elements.values.sorted()[elements.count / 2]
        elements = elements.filter { $0.value > middle }
    }
}
