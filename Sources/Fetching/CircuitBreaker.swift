import ShaCache
import Synchronization

/// Keeps an upstream that doesn't answer from being asked again for a while that grows: then whoever waits would wait for
/// nothing. Shared by the threads of a process.
final class CircuitBreaker: Sendable {
    private struct State {
        /// Since the last success.
        var failures = 0
        /// From when on one request may try again; nil while it is closed.
        var retry: ContinuousClock.Instant?
        /// Whether one does.
        var isTrying = false
        var lastSuccess: ContinuousClock.Instant?
        /// Whether the last failure was of a certificate.
        var isUntrusted = false
    }

    private let state = Mutex(State())

    private static let shortestPause = 1.0
    /// In seconds. An upstream that is back is noticed by then.
    private static let longestPause = 60.0

    /// Whether a request may be sent. While it is open, one in each pause may, and its outcome decides for all.
    func allows(at now: ContinuousClock.Instant = .now) -> Bool {
        state.withLock { state in
            guard let retry = state.retry else { return true }
            guard now >= retry else { return false }
            (state.isTrying, state.retry) = (true, now + Self.pause(after: state.failures))
            return true
        }
    }

    func noteSuccess(at now: ContinuousClock.Instant = .now) { state.withLock { $0 = State(lastSuccess: now) } }

    /// Notes that no answer came to a request. While the server answers others, it says nothing about the server.
    ///
    /// - Parameter start: when it was sent.
    func noteSilence(
        since start: ContinuousClock.Instant, isUntrusted: Bool = false, at now: ContinuousClock.Instant = .now
    ) {
        guard state.withLock({ ($0.lastSuccess ?? start) <= start }) else { return }
        noteFailure(isUntrusted: isUntrusted, at: now)
    }

    /// Notes that the server can't be asked.
    ///
    /// - Parameter isUntrusted: since a certificate wasn't accepted.
    func noteFailure(isUntrusted: Bool = false, at now: ContinuousClock.Instant = .now) {
        state.withLock { state in
            state.isUntrusted = isUntrusted
            // Of requests that were under way together, one failure counts.
            guard state.retry == nil || state.isTrying else { return }
            state.failures += 1
            (state.isTrying, state.retry) = (false, now + Self.pause(after: state.failures))
        }
    }

    var isOpen: Bool { state.withLock { $0.retry != nil } }

    /// As clients are told it.
    var listed: UpstreamList.State {
        state.withLock { $0.retry == nil ? .asked : $0.isUntrusted ? .untrusted : .away }
    }

    private static func pause(after failures: Int) -> Duration {
        .seconds(min(longestPause, shortestPause * Double(1 << min(max(failures, 1) - 1, 10))))
    }
}
