import Glibc
public import Metrics
import Postgres
import ShaCache
public import Storage
import Synchronization

/// What a worker shows at /metrics beside what each request counts; all of its threads share it.
public final class Monitoring: Sendable {
    let recorder: Recorder
    private let directory: MetricsDirectory?
    /// Files in PEM.
    let certificates: [String]
    /// Of a near cache: whether its fetcher answers.
    let fetcherAnswers: (@Sendable () -> Bool)?
    let session: Mutex<Session>
    let lastCommit = Mutex<CommitProbe?>(nil)
    private let latest = Mutex(DatabaseFigures())
    private let operators = Mutex(OperatorCache())

    /// - Parameters:
    ///   - directory: where the figures of the host's workers are; nil when this one has no slot there.
    ///   - session: one with a short timeout: a scrape doesn't wait.
    ///   - certificates: files in PEM whose expiry is shown.
    ///   - fetcherAnswers: says whether the fetcher does, within a second; nil where there is none.
    public init(
        recorder: Recorder, directory: MetricsDirectory?, session: sending Session, certificates: [String],
        fetcherAnswers: (@Sendable () -> Bool)? = nil
    ) {
        self.recorder = recorder
        self.directory = directory
        self.session = Mutex(session)
        self.certificates = certificates
        self.fetcherAnswers = fetcherAnswers
    }

    var snapshots: [Snapshot] {
        guard let directory else { return recorder.snapshot().map { [$0] } ?? [] }
        return directory.snapshots()
    }

    /// The database's figures. One thread asks at a time; the others get the latest answer after a timeout: a database
    /// that hangs costs one thread.
    ///
    /// - Parameter certificate: the SHA-256 of the one that was shown; nil where none is needed.
    /// - Returns: nil when it can't be found out now whether it is an operator's.
    /// - Throws: `Refusal.notAuthorized`, when it is not.
    func databaseFigures(for certificate: [UInt8]?) throws -> DatabaseFigures? {
        let deadline = ContinuousClock.now + Self.timeout
        repeat {
            let asked = try session.withLockIfAvailable { try figures(from: $0, for: certificate) }
            if let asked { return asked }
            usleep(10_000)
        } while .now < deadline
        return remembers(certificate) ? latest.withLock { $0 } : nil
    }

    /// A database that doesn't hang has answered another scrape by then.
    private static let timeout = Duration.seconds(1)

    private func figures(from session: Session, for certificate: [UInt8]?) throws -> DatabaseFigures? {
        do {
            if let certificate { try checkOperator(certificate, asking: session) }
        } catch  where error.isTransient {
            // It would hang, or be away, for the other questions as well.
            return remembers(certificate) ? DatabaseFigures() : nil
        }
        let figures = DatabaseFigures(asking: session)
        latest.withLock { $0 = figures }
        return figures
    }

    private func checkOperator(_ certificate: [UInt8], asking session: Session) throws {
        let isOperator = try Identities(session).status(ofCertificate: certificate).isByOperator
        operators.withLock { $0.note(certificate, isOperator: isOperator) }
        guard isOperator else { throw Refusal.notForStrangers }
    }

    private func remembers(_ certificate: [UInt8]?) -> Bool {
        guard let certificate else { return true }
        return operators.withLock { $0.remembers(certificate) }
    }
}

extension CertificateStatus {
    var isByOperator: Bool {
        guard case .valid(let account) = self else { return false }
        return account.roles.contains(.operator)
    }
}

extension Refusal {
    static let notForStrangers = Self.notAuthorized("metrics are for monitors and operators")
}

struct DatabaseFigures: Sendable {
    private(set) var isUp = false
    private(set) var schema: Int?
    private(set) var expiries: [AccountExpiry] = []
    private(set) var runs: [TaskRun] = []
    private(set) var surveyed: [StoreAuditSum] = []
    private(set) var scrub: ScrubFigures?
    private(set) var collection: CollectionFigures?
    private(set) var fetched: FetchedFigures?
    private(set) var upstreams: UpstreamFigures?
    private(set) var loggedBytes: [(kind: String, bytes: Int)] = []
    private(set) var entriesOfFullestKey: Int?
    private(set) var mirrors: [MirrorFigures] = []
    private(set) var accountRequests: AccountRequestFigures?

    init() {}

    init(asking session: Session) {
        do {
            schema = try Migrations(session).newestApplied()
            isUp = true
            // An older schema lacks what the others ask for; the figure of the schema shows it.
            guard schema ?? 0 >= Migrations.needed else { return }
            expiries = try Certificates(session).accountExpiries()
            runs = try TaskRuns(session).latest()
            surveyed = try StoreAuditReports(session).latestSums()
            scrub = try ScrubFigures(asking: session)
            collection = try CollectionFigures(asking: session)
            fetched = try FetchedFigures(asking: session)
            upstreams = try UpstreamFigures(asking: session)
            loggedBytes = try DownloadCounters(session).sentBytes()
            entriesOfFullestKey = try CacheSummary(session).entriesOfFullestKey()
            mirrors = try MirrorFigures.all(asking: session)
            accountRequests = try AccountRequestFigures(asking: session)
        } catch let error as DatabaseError where error.isTransient && !error.tookTooLong {
            isUp = false
        } catch {
            // It answers: only not this soon, or not to us.
        }
    }
}

/// A cache of which certificates are operators', for as long as the database can't be asked: its
/// metrics must be seen also while it is away.
struct OperatorCache {
    private var seen: [[UInt8]: ContinuousClock.Instant] = [:]

    /// Longer than most outages. One that was revoked just before is then good for that long, and for looking only.
    private static let lifetime = Duration.seconds(3600)

    /// Notes the database's answer about a certificate.
    mutating func note(_ certificate: [UInt8], isOperator: Bool) { seen[certificate] = isOperator ? .now : nil }

    func remembers(_ certificate: [UInt8]) -> Bool {
        seen[certificate].map { $0.duration(to: .now) < Self.lifetime } ?? false
    }
}

extension Monitoring {
    /// The result of the last commit that was made as a health check.
    struct CommitProbe: Sendable {
        let doesCommit: Bool
        let end: ContinuousClock.Instant

        var isFresh: Bool { end.duration(to: .now) < .seconds(5) }
    }

    /// Whether the database commits. A server may answer every question, and let each COMMIT wait: for a synchronous
    /// standby that is dead, or a disk that hangs.
    ///
    /// A commit costs an fsync there, so a worker makes one every few seconds at most, however many ask.
    ///
    /// - Throws: `DatabaseError` for any other reason than that a commit takes too long.
    func databaseCommits() throws -> Bool {
        let known = lastCommit.withLock { $0 }
        if let known, known.isFresh { return known.doesCommit }
        // While another thread probes, the last result counts.
        guard let doesCommit = try session.withLockIfAvailable({ try commits($0) }) else {
            return known?.doesCommit ?? true
        }
        lastCommit.withLock { $0 = CommitProbe(doesCommit: doesCommit, end: .now) }
        return doesCommit
    }

    private func commits(_ session: Session, isSecondTry: Bool = false) throws -> Bool {
        let begin = ContinuousClock.now
        do {
            try session.probeCommit()
            return true
        } catch let error as DatabaseError where error.kind == .lost {
            guard begin.duration(to: .now) < .seconds(1) else { return false }
            // A session that had ended, unnoticed since its last use, fails at once.
            guard !isSecondTry else { throw error }
            return try commits(session, isSecondTry: true)
        }
    }
}
