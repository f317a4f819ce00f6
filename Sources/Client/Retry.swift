import Glibc
import HTTP

/// Retries transient failures with exponential backoff: after 1, 2, 4… seconds, or as Retry-After asks.
struct Retry: Sendable {
    /// Tries after the first.
    let limit: Int
    /// Whether there is a fallback, so that a server in trouble gets no more time than a silent one.
    var hasAlternative = false
    /// Whether another cache is asked next: then one that takes no connection isn't waited for at all.
    var isFollowed = false
    let reporter: Reporter
    /// Waits between two tries, for so many seconds.
    var wait: @Sendable (Int) -> Void = { sleep(UInt32($0)) }

    /// What a server may ask for at most, in seconds.
    private static let longestPause = 300

    /// - Parameters:
    ///   - watch: ends it all when the server has been silent for so long.
    ///   - hasProgressed: whether more is there than before the last try: the count starts again then.
    func callAsFunction(
        _ watch: SilenceWatch? = nil, hasProgressed: () -> Bool = { false }, _ send: () throws -> HTTPResponse
    ) throws -> HTTPResponse {
        var failures = 0
        while true {
            let answer = try attempt(send)
            if case .success(let response) = answer, !response.isWorthRetrying { return response }
            failures = hasProgressed() ? 1 : failures + 1
            let isWaitedFor = answer.isAnswered && !hasAlternative
            guard failures <= limit, let pause = pause(answer.pause, failures, isWaitedFor ? nil : watch) else {
                return try answer.get()
            }
            reporter.note("\(answer.reason); tries again in \(pause) s")
            wait(pause)
            // The stall timeout doesn't count the pause: a busy server isn't a silent one, and nothing was asked of it.
            if isWaitedFor { watch?.restart() }
        }
    }

    /// In seconds.
    ///
    /// - Parameter asked: what the server wants.
    /// - Returns: nil when there is no time for one.
    private func pause(_ asked: Int?, _ failures: Int, _ watch: SilenceWatch?) -> Int? {
        let remaining = watch.map { Int($0.remaining) } ?? .max
        guard remaining > 1 else { return nil }
        // A longer Retry-After isn't waited for.
        let longest = hasAlternative ? min(Self.longestPause, remaining - 1) : Self.longestPause
        guard let asked else { return min(1 << (failures - 1), longest, remaining - 1) }
        return asked <= longest ? asked : nil
    }

    /// Failures that another try can't help are thrown at once.
    private func attempt(_ send: () throws -> HTTPResponse) throws -> Result<HTTPResponse, HTTPFailure> {
        do {
            return .success(try send())
        } catch let failure as HTTPFailure where isWorthRetrying(failure) {
            return .failure(failure)
        }
    }

    private func isWorthRetrying(_ failure: HTTPFailure) -> Bool {
        switch failure.kind {
        case .unreachable: !isFollowed
        case .interrupted, .malformed: true
        case .silent, .notTheFile, .redirect, .certificate, .misuse: false
        }
    }
}

extension HTTPResponse {
    /// Too many requests, or a server in trouble. A full disk (507) won't be empty in a minute.
    var isWorthRetrying: Bool { [408, 425, 429, 500, 502, 503, 504].contains(status) }
}

extension Result<HTTPResponse, HTTPFailure> {
    fileprivate var isAnswered: Bool {
        if case .success = self { true } else { false }
    }

    /// In seconds, if the server named one.
    fileprivate var pause: Int? {
        guard case .success(let response) = self, let text = response.head["retry-after"] else { return nil }
        return (Int(text) ?? response.head.date("retry-after").map { $0 - time(nil) }).map { max(1, $0) }
    }

    fileprivate var reason: String {
        switch self {
        case .success(let response): "status \(response.status) \(response.words)"
        case .failure(let failure): failure.description
        }
    }
}
