import Glibc
import Synchronization
import System

/// A line on standard error that is drawn over itself, when that is a terminal. Several threads may show theirs.
final class ProgressLine: Sendable {
    private struct Drawing {
        var isDrawn = false
        var last = ContinuousClock.now - .seconds(1)
    }

    private let drawing = Mutex(Drawing())
    private let isTerminal = isatty(STDERR_FILENO) == 1

    /// Ten times a second at most.
    func show(_ text: () -> String) {
        guard isTerminal else { return }
        drawing.withLock { drawing in
            guard ContinuousClock.now - drawing.last > .milliseconds(100) else { return }
            drawing.last = .now
            drawing.isDrawn = true
            Self.write("\r\u{1B}[K\(text())")
        }
    }

    /// Makes room for other output.
    func interrupt(_ body: () -> Void) {
        drawing.withLock { drawing in
            if drawing.isDrawn { Self.write("\r\u{1B}[K") }
            drawing.isDrawn = false
            body()
        }
    }

    func end() { interrupt {} }

    /// A failure is ignored: there is no other place to report it.
    private static func write(_ text: String) {
        try? Array(text.utf8).withUnsafeBytes { try writeAll($0, to: STDERR_FILENO, named: "standard error") }
    }
}
