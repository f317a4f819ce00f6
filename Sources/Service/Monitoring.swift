public import Metrics
public import Storage
import Synchronization

/// What a worker shows at /metrics beside what each request counts; all of its threads share it.
public final class Monitoring: Sendable {
    let recorder: Recorder
    private let board: Board?
    /// Files in PEM.
    let certificates: [String]
    private let catalog: Mutex<Catalog>
    private let latest = Mutex(DatabaseFigures())

    /// - Parameters:
    ///   - board: where the figures of the host's workers are; nil when this one has no slot there.
    ///   - catalog: one that gives up soon: a scrape doesn't wait.
    ///   - certificates: files in PEM whose expiry is shown.
    public init(recorder: Recorder, board: Board?, catalog: sending Catalog, certificates: [String]) {
        self.recorder = recorder
        self.board = board
        self.catalog = Mutex(catalog)
        self.certificates = certificates
    }

    var readings: [Reading] {
        guard let board else { return recorder.reading().map { [$0] } ?? [] }
        return board.readings()
    }

    /// What only the database knows. One thread asks at a time, and whoever comes meanwhile gets what was known before:
    /// when the database hangs, that costs one thread.
    func databaseFigures() -> DatabaseFigures {
        let asked = catalog.withLockIfAvailable { DatabaseFigures(asking: $0) }
        guard let asked else { return latest.withLock { $0 } }
        latest.withLock { $0 = asked }
        return asked
    }
}

struct DatabaseFigures: Sendable {
    private(set) var isUp = false
    private(set) var schema: Int?
    private(set) var expiries: [Catalog.Expiry] = []
    private(set) var runs: [Catalog.Run] = []
    private(set) var surveyed: [Catalog.Surveyed] = []

    init() {}

    init(asking catalog: Catalog) {
        do {
            schema = try catalog.appliedSchemaNumber()
            expiries = try catalog.certificateExpiries()
            isUp = true
            // An older schema lacks their tables; that it is too old, the figures say.
            guard schema ?? 0 >= Catalog.schemaNumber else { return }
            runs = try catalog.lastRuns()
            surveyed = try catalog.lastSurveys()
        } catch {
            // That it is away is what the figures then say.
        }
    }
}
