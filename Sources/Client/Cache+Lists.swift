import HTTP
import ShaCache
import System

extension Cache {
    /// How many blobs one question asks for: enough that round trips don't count, and little work for a server at once.
    static let listLength = 2000

    /// Asks for several blobs by one request.
    ///
    /// - Parameter digests: `listLength` at most.
    /// - Returns: the status of each, nil for those that aren't there; nil altogether when the server takes no
    ///   lists, so that each is asked for by itself.
    func statuses(of digests: [Digest]) throws -> [BlobStatus?]? {
        guard lists.verdict != .unsupported else { return nil }
        let question = Result { try ask(ExistenceList.question(digests.lazy.map(\.description)), count: digests.count) }
        return try lists.settle(question)
    }

    private func ask(_ question: [UInt8], count: Int) throws -> [BlobStatus?]? {
        let cache = try configuration.requiredEndpoint(.download, .cache, for: use)
        var request = cache.request(.post, ExistenceList.name)
        request.body = RequestBody(question)
        request.headers = [("Content-Type", "text/plain")]
        request.watch = SilenceWatch(limit: settings.timeout)
        // A server without lists may answer with any failure: no retries.
        let response = try answer(to: request, isTrial: lists.verdict == .untried)
        guard response.status == 200, let answers = ExistenceList.answers(in: response.body, count: count) else {
            return nil
        }
        return answers.map { answer in
            guard case .blob(let size, let modified) = answer else { return nil }
            return BlobStatus(size: size, modified: modified)
        }
    }
}

/// Whether a server supports lists of digests: detected by the first one, and cached for the run. Threads share it.
final class ListSupport: Sendable {
    enum Verdict: Sendable {
        case untried, supported, unsupported
    }

    private let state = Monitor(Verdict.untried)

    var verdict: Verdict { state.wait { $0 } }

    /// Notes what came of a question.
    ///
    /// - Parameter answer: nil when what came is no answer to a list.
    /// - Returns: the answer; nil when the caller falls back to single requests.
    /// - Throws: what the question failed with, where that doesn't mean that lists are unsupported: of a server that has
    ///   answered one before, all but a refusal.
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
