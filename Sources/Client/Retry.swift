import Glibc
import HTTP

/// Tries again what another try can help: 1, 2, 4… seconds after a failure, or when the server says.
struct Retry: Sendable {
    /// Tries after the first.
    let limit: Int
    let reporter: Reporter

    /// What a server may ask for at most, in seconds.
    private static let longestPause = 300

    /// - Parameter hasProgressed: whether more is there than before the last try: the count starts again then.
    func callAsFunction(hasProgressed: () -> Bool = { false }, _ send: () throws -> Response) throws -> Response {
        var failures = 0
        while true {
            let answer = try attempt(send)
            if case .success(let response) = answer, !response.isWorthRetrying { return response }
            failures = hasProgressed() ? 1 : failures + 1
            let pause = answer.pause ?? 1 << (failures - 1)
            // Whoever asks for more patience than that gets none.
            guard failures <= limit, pause <= Self.longestPause else { return try answer.get() }
            reporter.note("\(answer.reason); tries again in \(pause) s")
            sleep(UInt32(pause))
        }
    }

    /// Failures that another try can't help are thrown at once.
    private func attempt(_ send: () throws -> Response) throws -> Result<Response, HTTPFailure> {
        do {
            return .success(try send())
        } catch let failure as HTTPFailure where [.unreachable, .interrupted].contains(failure.kind) {
            return .failure(failure)
        }
    }
}

extension Response {
    /// Too many requests, or a server in trouble. A full disk (507) won't be empty in a minute.
    var isWorthRetrying: Bool { [408, 425, 429, 500, 502, 503, 504].contains(status) }
}

extension Result<Response, HTTPFailure> {
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
