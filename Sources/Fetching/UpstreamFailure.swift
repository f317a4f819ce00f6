import HTTP

/// Why an upstream gave no blob.
struct UpstreamFailure: Error, CustomStringConvertible {
    /// A stable name to group by in logs and metrics.
    enum Reason: String, CaseIterable {
        /// No connection, or no whole header in time.
        case noAnswer = "no answer"
        /// The other side's certificate, or ours, was not accepted.
        case certificate
        /// A redirect to a host that the configuration doesn't name.
        case redirect
        /// A status that is neither success nor absence.
        case status
        /// A status of success, and not the blob: another encoding, another range, headers without end.
        case notTheBlob = "not the blob"
        case tooLarge = "too large"
        /// The body ended, or stalled, before it was whole.
        case interrupted
        /// The whole body, with another hash than its name.
        case wrongBytes = "wrong bytes"
        /// The same, behind what an earlier try had left here: after a power cut that may be zeros.
        case damagedPart = "damaged part"
    }

    let reason: Reason
    let description: String

    init(_ reason: Reason, _ description: String) { (self.reason, self.description) = (reason, description) }

    init(_ failure: HTTPFailure) {
        let reason: Reason =
            switch failure.kind {
            case .certificate, .misuse: .certificate
            case .redirect: .redirect
            case .notTheFile: .notTheBlob
            case .unreachable, .interrupted, .silent: failure.isOfAnswer ? .interrupted : .noAnswer
            }
        self.init(reason, failure.description)
    }

    /// Whether others that ask now would wait for nothing.
    var isOfServer: Bool { reason == .noAnswer || reason == .certificate }

    /// How long the upstream isn't asked for this blob again.
    var rest: Duration {
        switch reason {
        case .wrongBytes, .notTheBlob, .tooLarge, .redirect: .seconds(3600)
        case .interrupted, .status: .seconds(60)
        case .noAnswer, .certificate, .damagedPart: .zero
        }
    }
}
