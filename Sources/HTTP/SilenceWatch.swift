/// Measures how long a server says nothing, or hardly anything, over all the tries and pauses of one piece of work.
/// Belongs to one thread.
public final class SilenceWatch {
    /// In seconds.
    public let limit: Int
    private var since = ContinuousClock.now
    /// In bytes, since then.
    private var count = 0

    /// What is slower over the whole limit, in bytes a second, is as good as nothing: otherwise a server that sends a
    /// byte now and then would be waited for without end.
    private static let leastRate = 1000

    public init(limit: Int) { self.limit = limit }

    public func restart() { (since, count) = (.now, 0) }

    func hear(_ bytes: Int) {
        count += bytes
        if count >= limit * Self.leastRate { restart() }
    }

    /// In seconds.
    public var remaining: Double { Double(limit) - since.duration(to: .now) / .seconds(1) }

    var isOver: Bool { remaining <= 0 }

    /// For messages.
    var words: String { count == 0 ? "no answer for \(limit) s" : "sent \(count) bytes in \(limit) s" }

    /// Shorter than the limit, so that a host whose first address is dead is asked at its next one.
    var connectLimit: Int { max(2, limit * 2 / 3) }
}
