import Testing

@testable import Client

struct ListSupportTests {
    private let support = ListSupport()

    private func failure(_ failure: CacheFailure) -> Result<Int?, any Error> { .failure(failure) }

    @Test func `who answers a list is asked in lists`() throws {
        #expect(support.verdict == .untried)
        #expect(try support.settle(.success(1)) == 1)
        #expect(support.verdict == .supported)
    }

    @Test func `who answers something else is asked one by one from then on`() throws {
        #expect(try support.settle(Result<Int?, any Error>.success(nil)) == nil)
        #expect(support.verdict == .unsupported)
    }

    @Test(arguments: [
        CacheFailure.missing("404"), .refused("405", status: 405), .malformed("302"), .troubled("503"),
        .unreachable("cut"),
    ])
    func `the first question may fail in any way without failing the upload`(_ failure: CacheFailure) throws {
        #expect(try support.settle(self.failure(failure)) == nil)
        #expect(support.verdict == .unsupported)
    }

    @Test(arguments: [CacheFailure.troubled("503"), .unreachable("cut")])
    func `of a server that has answered one, trouble is trouble`(_ failure: CacheFailure) throws {
        _ = try support.settle(.success(1))
        #expect(throws: CacheFailure.self) { try support.settle(self.failure(failure)) }
        #expect(support.verdict == .supported)
    }

    @Test(arguments: [CacheFailure.missing("404"), .refused("405", status: 405), .malformed("page")])
    func `an older server may take its place`(_ failure: CacheFailure) throws {
        _ = try support.settle(.success(1))
        #expect(try support.settle(self.failure(failure)) == nil)
        #expect(support.verdict == .unsupported)
    }
}
