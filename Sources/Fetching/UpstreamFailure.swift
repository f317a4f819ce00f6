import HTTP
import Metrics

/// Why an upstream gave no blob.
struct UpstreamFailure: Error, CustomStringConvertible {
    let reason: UpstreamFailureName
    let description: String

    init(_ reason: UpstreamFailureName, _ description: String) {
        (self.reason, self.description) = (reason, description)
    }

    init(_ failure: HTTPFailure) {
        let reason: UpstreamFailureName =
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

    /// Whether it gave something wrong, rather than nothing.
    var isFault: Bool {
        switch reason {
        case .wrongBytes, .notTheBlob, .tooLarge, .redirect, .certificate: true
        case .noAnswer, .status, .interrupted, .damagedPart: false
        }
    }

    /// How long the upstream isn't asked for this blob again.
    var rest: Duration {
        switch reason {
        case .wrongBytes, .notTheBlob, .tooLarge, .redirect: .seconds(3600)
        case .interrupted, .status: .seconds(60)
        case .noAnswer, .certificate, .damagedPart: .zero
        }
    }
}
