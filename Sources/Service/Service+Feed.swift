import ShaCache
import Storage

extension Service {
    /// - Throws: `Refusal.notAuthorized`, when it is for operators and none asks; `.malformedRequest`.
    func feed(for request: Request) throws -> Response {
        if feedReaders == .operators { try checkOperator(request) }
        let after = try request.number("after", from: 0) ?? 0
        let most = try request.number("limit", from: 1) ?? Feed.itemLimit
        do {
            let page = try Feed(session).page(after: after, most: most)
            return Response(
                .ok,
                headers: [
                    ("Content-Type", "application/x-ndjson"), ("Cache-Control", "no-store"),
                    ("X-ShaCache-Feed", page.numbering),
                ], body: .bytes(page.lines))
        } catch let error as NotOnStandby {
            return Response(.serviceUnavailable, line: "\(error)")
        }
    }

    private func checkOperator(_ request: Request) throws {
        let refusal = Refusal.notAuthorized("the feed is for operators")
        let certificate = try certificate(of: request, else: refusal)
        guard try Identities(session).status(ofCertificate: certificate).isByOperator else { throw refusal }
    }
}

extension Request {
    fileprivate func number(_ name: String, from lowest: Int) throws(Refusal) -> Int? {
        guard let text = try query(name) else { return nil }
        guard let number = Int(text), number >= lowest else {
            throw .malformedRequest("the query's \(name) is not a number from \(lowest) on")
        }
        return number
    }
}
