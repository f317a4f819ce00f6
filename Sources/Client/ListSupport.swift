import System

/// Whether a server takes questions in lists: found out by the first one, and remembered for the run. Threads share it.
final class ListSupport: Sendable {
    enum Verdict: Sendable {
        case untried, supported, unsupported
    }

    private let state = Monitor(Verdict.untried)

    var verdict: Verdict { state.wait { $0 } }

    /// Notes what came of a question.
    ///
    /// - Parameter answer: nil when what came is no answer to a list.
    /// - Returns: the answer; nil when whoever asks goes on one by one.
    /// - Throws: what the question failed with, where that says nothing about lists: of a server that has answered one
    ///   before, all but a refusal.
    func settle<Answer>(_ answer: Result<Answer?, any Error>) throws -> Answer? {
        switch answer {
        case .success(let answer?):
            note(.supported)
            return answer
        case .failure(let error) where verdict == .supported && !error.isRefusalOfLists: throw error
        case .success(nil), .failure:
            note(.unsupported)
            return nil
        }
    }

    private func note(_ verdict: Verdict) { state.change { $0 = verdict } }
}

extension Error {
    /// A server that was exchanged meanwhile may be an older one.
    fileprivate var isRefusalOfLists: Bool {
        switch self as? CacheFailure {
        case .refused, .missing, .malformed: true
        case .unreachable, .troubled, .untrusted, .broken, nil: false
        }
    }
}
