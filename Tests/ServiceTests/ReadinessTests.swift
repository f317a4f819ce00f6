import Fixtures
import Service
import Storage
import Testing

struct ReadinessTests {
    private let directory: TemporaryDirectory
    private let store: LocalBlobs
    private let database: TestDatabase

    init() throws {
        directory = try TemporaryDirectory()
        store = LocalBlobs(directory: directory.path)
        try store.prepare()
        database = try TestDatabase()
    }

    private func answer(_ target: String) -> (status: Int, line: String) {
        var request = Request()
        (request.method, request.target, request.purpose) = ("GET", Array(target.utf8), .health)
        let service = Service(
            store: store, session: database.session(), rules: .forTests(), refusals: RefusalRateLimiter(),
            monitoring: .alone(database.session()))
        let response = service.answer(request).response
        return (response.status.rawValue, String(decoding: response.bytes, as: UTF8.self))
    }

    @Test(arguments: ["/-/ready", "/-/ready/lookups"])
    func `a worker is ready when its database and store are`(_ target: String) {
        #expect(answer(target) == (200, "ready\n"))
    }

    /// What takes nothing is a standby: a system test has one. Fails without the session's own setting.
    @Test func `a database that is read-only by default takes uploads, and is ready`() throws {
        try database.connection(as: "postgres").runScript(
            "ALTER DATABASE \(database.name) SET default_transaction_read_only = on")
        #expect(answer("/-/ready") == (200, "ready\n"))
        #expect(answer("/-/ready/lookups") == (200, "ready\n"))
    }
}
