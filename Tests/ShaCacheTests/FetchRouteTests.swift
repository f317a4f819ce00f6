import ShaCache
import Testing

struct FetchRouteTests {
    private let digest = Digest(bytes: [UInt8](repeating: 0xAB, count: 64))

    @Test(arguments: ["a", "a//b/../c", "%25 é€😀", "key", String(repeating: "x", count: 1024)])
    func `any key goes there and back`(text: String) throws {
        let path = FetchRoute.key(try Key(text)).path
        guard case .key(let key) = FetchRoute(path: path) else { throw NoRoute(path: path) }
        #expect(Array(key.text.utf8) == Array(text.utf8))
        #expect(path.dropFirst("/-/fetch/key/".count).allSatisfy { $0.isHexDigit })
    }

    @Test(arguments: [BlobDelivery.asAsked, .withoutConditions, .whole])
    func `a blob goes there and back, with the way in which it is sent`(delivery: BlobDelivery) throws {
        let path = FetchRoute.blob(digest, delivery).path
        guard case .blob(let found, let way) = FetchRoute(path: path) else { throw NoRoute(path: path) }
        #expect(found == digest && way == delivery)
        #expect(path == "/-/fetch" + delivery.location(of: "\(digest)").dropFirst(2))
    }

    @Test func `what is asked for ahead goes there and back`() throws {
        for request in [AheadRequest.key(try Key("a/b é%")), .blob(digest), .hiddenBlob(digest)] {
            let path = FetchRoute.ahead(request).path
            guard case .ahead(let found) = FetchRoute(path: path) else { throw NoRoute(path: path) }
            #expect(FetchRoute.ahead(found).path == path)
        }
    }

    @Test func `nothing else is a path of it`() {
        let paths = [
            "", "/", "/-/fetch", "/-/fetch/", "/-/fetch/key", "/-/fetch/key/", "/-/fetch/key/6", "/-/fetch/key/6g",
            "/-/fetch/key/ff", "/-/fetch/key/00", "/-/fetch/key/2e2e", "/-/fetch/blob/\(digest)/",
            "/-/fetch/blobs/\(digest)",
            "/-/fetch//\(digest)", "/-/fetch/blob/ab", "-/fetch/blob/\(digest)", "/x/-/fetch/blob/\(digest)",
            "/-/fetch/ahead/key/0", "/-/fetch/ahead/blob/00", "/-/fetch/ahead/other/00", "/-/fetch/ahead/\(digest)",
            "/-/fetch/ahead/blob/\(digest)/", "/-/fetch/other/key/61",
        ]
        for path in paths { #expect(FetchRoute(path: path) == nil, "\(path)") }
    }
}

private struct NoRoute: Error {
    let path: String
}
