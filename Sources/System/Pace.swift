import Glibc

/// Keeps what reads a disk at a rate: others read there, too.
public struct Pace: Sendable {
    private let bytesPerSecond: Double
    /// When as much may have been read as was.
    private var due = ContinuousClock.now

    public init(bytesPerSecond: Int) { self.bytesPerSecond = Double(bytesPerSecond) }

    /// Waits as long as these bytes may take. Time in which nothing was read isn't made up for.
    public mutating func spend(_ bytes: Int) {
        due = max(due, .now) + .seconds(Double(bytes) / bytesPerSecond)
        let early = ContinuousClock.now.duration(to: due)
        if early > .milliseconds(10) { usleep(UInt32(clamping: Int(early / .microseconds(1)))) }
    }
}
