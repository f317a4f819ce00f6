import Logging
import Metrics
import ShaCache
import Storage

/// What came of asking the upstreams in their order.
enum Verdict<Value> {
    case found(Value)
    /// Each of them was asked, and none has it.
    case absent
    /// None gave it, and not each has said that it doesn't have it: why the last of these did not, an `UpstreamFailure` or
    /// `NotAsked`.
    case failed(any Error)

    var isFound: Bool {
        if case .found = self { true } else { false }
    }
}

extension Fetcher {
    /// Asks upstreams in their order until one has what is asked for. What fails is logged and counted.
    ///
    /// - Parameters:
    ///   - subject: what is asked for.
    ///   - loop: by which the request for it came.
    ///   - ask: gets the header CDN-Loop; returns nil when that one doesn't have it.
    ///   - goesOn: whether the next one is asked, where this one failed; of a nil failure, its breaker is open.
    /// - Throws: what `ask` threw, but for `UpstreamFailure`.
    func ask<Value>(
        _ servers: [UpstreamServer], for subject: UpstreamFault.Subject, loop: CacheLoop,
        _ ask: (UpstreamServer, _ loop: String) throws -> Value?,
        orElse goesOn: (UpstreamServer, UpstreamFailure?) -> Bool = { _, _ in true }
    ) throws -> Verdict<Value> {
        defer { recorder.set(.openBreakers, to: self.servers.count { $0.breaker.isOpen }) }
        var last: (any Error)?
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
            last = failure ?? NotAsked(upstream: server.name)
            guard goesOn(server, failure) else { break }
        }
        return last.map { .failed($0) } ?? .absent
    }

    private func logFailure(_ failure: UpstreamFailure, of server: UpstreamServer, _ subject: UpstreamFault.Subject) {
        recorder.add(to: .upstreamFailures, failure.reason.rawValue)
        server.ledger.note(failure, of: subject)
        let metadata: Logger.Metadata = [
            "upstream": "\(server.name)", "reason": "\(failure.reason.rawValue)", "cause": "\(failure)",
        ]
        log.warning("upstream failed", metadata: metadata.merging(subject.metadata) { $1 })
    }
}

extension UpstreamFault.Subject {
    fileprivate var metadata: Logger.Metadata {
        switch self {
        case .blob(let digest): ["sha512": "\(digest)"]
        case .key(let key): ["key": "\(key.text)"]
        }
    }
}

/// The breaker of an upstream is open.
struct NotAsked: Error, CustomStringConvertible {
    let upstream: String

    var description: String { "\(upstream) isn't asked for a while, since it did not answer" }
}
