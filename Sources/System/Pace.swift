import Glibc

/// Keeps what reads a disk, or changes much on it, at a rate: others work there, too.
public struct Pace: Sendable {
    private let perSecond: Double
    /// When as much may have been done as was.
    private var due = ContinuousClock.now

    /// - Parameter perSecond: bytes, or whatever is counted.
    public init(perSecond: Int) { self.perSecond = Double(perSecond) }

    /// Waits as long as so much may take. Time in which nothing was done isn't made up for.
    public mutating func spend(_ count: Int) {
        due = max(due, .now) + .seconds(Double(count) / perSecond)
        let early = ContinuousClock.now.duration(to: due)
        if early > .milliseconds(10) { usleep(UInt32(clamping: Int(early / .microseconds(1)))) }
    }
}
