import HTTP
import ShaCache

extension Cache {
    /// How many blobs one question asks for: enough that round trips don't count, and little work for a server at once.
    static let listLength = 2000

    /// Asks for several blobs by one request.
    ///
    /// - Parameter digests: `listLength` at most.
    /// - Returns: what the server says of each, nil for those that aren't there; nil altogether when the server takes no
    ///   lists, so that each is asked for by itself.
    func statuses(of digests: [Digest]) throws -> [BlobStatus?]? {
        guard lists.verdict != .unsupported else { return nil }
        let question = Result { try ask(ExistenceList.question(digests.lazy.map(\.description)), count: digests.count) }
        return try lists.settle(question)
    }

    private func ask(_ question: [UInt8], count: Int) throws -> [BlobStatus?]? {
        let cache = try configuration.requiredEndpoint(.download, .cache, for: use)
        var request = cache.request(.post, ExistenceList.name)
        request.body = Body(question)
        request.headers = [("Content-Type", "text/plain")]
        request.watch = SilenceWatch(limit: settings.timeout)
        // A server that knows no lists may say so by any failure: it isn't worth a second try.
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
