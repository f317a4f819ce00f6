import Logging
import Metrics
import Storage

/// What came of asking the upstreams in their order.
enum Verdict<Value> {
    case found(Value)
    /// Each of them was asked, and none has it.
    case absent
    /// None gave it, and not each has said that it doesn't have it.
    case failed

    var isFound: Bool {
        if case .found = self { true } else { false }
    }
}

extension Fetcher {
    /// Asks upstreams in their order until one has what is asked for. What fails is logged and counted.
    ///
    /// - Parameters:
    ///   - subject: what is asked for, as the log has it.
    ///   - loop: by which the request for it came.
    ///   - ask: gets the header CDN-Loop; returns nil when that one doesn't have it.
    ///   - goesOn: whether the next one is asked, where this one failed; of a nil failure, its breaker is open.
    /// - Throws: what `ask` threw, but for `UpstreamFailure`.
    func ask<Value>(
        _ servers: [UpstreamServer], for subject: Logger.Metadata, loop: CacheLoop,
        _ ask: (UpstreamServer, _ loop: String) throws -> Value?,
        orElse goesOn: (UpstreamServer, UpstreamFailure?) -> Bool = { _, _ in true }
    ) throws -> Verdict<Value> {
        defer { recorder.set(.openBreakers, to: self.servers.count { $0.breaker.isOpen }) }
        var isAbsent = true
        for (index, server) in servers.enumerated() {
            var failure: UpstreamFailure?
            do {
                if server.breaker.allows() {
                    let loop = loop.passing(name, goesOn: index + 1 < servers.count)
                    if let value = try ask(server, loop) { return .found(value) }
                    continue
                }
            } catch let error as UpstreamFailure {
                logFailure(error, of: server, subject)
                failure = error
            }
            isAbsent = false
            guard goesOn(server, failure) else { break }
        }
        return isAbsent ? .absent : .failed
    }

    private func logFailure(_ failure: UpstreamFailure, of server: UpstreamServer, _ subject: Logger.Metadata) {
        recorder.add(to: .upstreamFailures, failure.reason.rawValue)
        let metadata: Logger.Metadata = [
            "upstream": "\(server.name)", "reason": "\(failure.reason.rawValue)", "cause": "\(failure)",
        ]
        log.warning("upstream failed", metadata: metadata.merging(subject) { $1 })
    }
}
