import HTTP
import Metrics

/// Why an upstream gave no blob.
struct UpstreamFailure: Error, CustomStringConvertible {
    let reason: UpstreamFailureName
    let description: String
    /// Whether the server was there to be asked.
    private let wasAsked: Bool

    init(_ reason: UpstreamFailureName, _ description: String, wasAsked: Bool = true) {
        (self.reason, self.description, self.wasAsked) = (reason, description, wasAsked)
    }

    /// - Parameter isRedirected: it is of a host that an answer led to.
    init(_ failure: HTTPFailure, isRedirected: Bool) {
        let reason: UpstreamFailureName =
            switch failure.kind {
            case .misuse where isRedirected: .redirect
            case .certificate, .misuse: .certificate
            case .redirect: .redirect
            case .notTheFile: .notTheBlob
            case .malformed where failure.wasSent && !failure.isOfAnswer: .notTheBlob
            case .malformed, .unreachable, .interrupted, .silent: failure.isOfAnswer ? .interrupted : .noAnswer
            }
        self.init(reason, failure.description, wasAsked: failure.wasSent || isRedirected)
    }

    /// Whether others that ask now would wait for nothing, whatever they ask for.
    var isOfServer: Bool { mayBeOfServer && !wasAsked }

    /// Whether it may be so: the server was silent, and that may be for this question alone.
    var mayBeOfServer: Bool { reason == .noAnswer || reason == .certificate }

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
        // The next request, by which it is tried whether the server is back, is for something else.
        case .noAnswer, .certificate: isOfServer ? .zero : .seconds(60)
        case .damagedPart: .zero
        }
    }

    /// Whether what came before it may be right.
    var leavesPart: Bool { !isFault && reason != .damagedPart }
}
