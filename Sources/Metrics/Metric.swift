import ShaCache

/// Every family that a worker counts by itself, declared once: its name, its help, and where its series lie in memory.
public enum Metric: Int, CaseIterable, Sendable {
    case requests, inFlight, threads, receivedBytes, sentBytes
    case uploadSeconds, uploadStageSeconds, signatures, refusals, failures, damagedBlobs, readOnly
    case journalRecords, journalWrites, journalSeconds, journalFailures
    case databaseStatements, databaseSeconds, databaseSessions, databaseErrors
    case nearRequests, fetches, fetchedBytes, fetchesInFlight, fedClients, fedBytes, upstreamFailures, openBreakers,
        refusedPairs

    /// What one cell of memory holds.
    enum Unit {
        case one
        /// Nanoseconds, which are shown as seconds.
        case time
    }

    struct Declaration {
        let family: Family
        var labels: [Label] = []
        var unit = Unit.one
        /// Whether series that never counted are shown. Not where most combinations of labels never do.
        var showsZeros = true
    }

    var declaration: Declaration { Self.declarations[rawValue] }

    private static let declarations = allCases.map(\.declared)

    private var declared: Declaration {
        switch self {
        case .requests:
            Declaration(
                family: Family(
                    "shacache_requests_total", .counter,
                    "Requests that workers answered; what nginx answers by itself is not among them."),
                labels: [.route, .method, .status], showsZeros: false)
        case .inFlight:
            Declaration(
                family: Family(
                    "shacache_requests_in_flight", .gauge,
                    "Requests that threads are at work on; those for health and metrics are not among them."),
                labels: [.socket])
        case .threads:
            Declaration(
                family: Family("shacache_threads", .gauge, "Threads that take requests."), labels: [.socket])
        case .receivedBytes:
            Declaration(
                family: Family(
                    "shacache_received_bytes_total", .counter,
                    "Bytes of the bodies that were received whole, also of those that were then refused."),
                labels: [.target])
        case .sentBytes:
            Declaration(
                family: Family(
                    "shacache_sent_bytes_total", .counter,
                    "Bytes of the bodies that workers sent. Blobs are sent by nginx: shacache_logged_sent_bytes_total."),
                labels: [.answer])
        case .uploadSeconds:
            Declaration(
                family: Family(
                    "shacache_upload_duration_seconds", .histogram,
                    "Time of an accepted upload, from the first byte of the request to the answer."),
                labels: [.target], unit: .time)
        case .uploadStageSeconds:
            Declaration(
                family: Family(
                    "shacache_upload_stage_duration_seconds", .histogram,
                    "Time of one stage of an upload, also of uploads that a later stage refused."),
                labels: [.stage], unit: .time)
        case .signatures:
            Declaration(
                family: Family("shacache_signatures_total", .counter, "Entries whose signature was judged, by result."),
                labels: [.signature])
        case .refusals:
            Declaration(
                family: Family("shacache_refusals_total", .counter, "Requests that were refused (4xx), by reason."),
                labels: [.refusal])
        case .failures:
            Declaration(
                family: Family("shacache_failures_total", .counter, "Requests that failed (5xx), by reason."),
                labels: [.failure])
        case .damagedBlobs:
            Declaration(
                family: Family(
                    "shacache_damaged_blob_reads_total", .counter,
                    "Requests for a blob whose file is not as it was stored."))
        case .readOnly:
            Declaration(
                family: Family(
                    "shacache_store_read_only", .gauge, "1 when the worker takes no uploads since an fsync failed."))
        case .journalRecords:
            Declaration(
                family: Family("shacache_journal_records_total", .counter, "Records that were appended to the journal.")
            )
        case .journalWrites:
            Declaration(
                family: Family(
                    "shacache_journal_writes_total", .counter,
                    "Groups of records that were written to the journal, each with one fdatasync."))
        case .journalSeconds:
            Declaration(
                family: Family(
                    "shacache_journal_write_seconds_total", .counter, "Time that these writes took, fdatasync included."
                ),
                unit: .time)
        case .journalFailures:
            Declaration(
                family: Family(
                    "shacache_journal_failures_total", .counter,
                    "Changes that are committed and that the journal lacks; their requests were answered with 5xx."))
        case .databaseStatements:
            Declaration(
                family: Family("shacache_database_statements_total", .counter, "Statements that were run, or tried."))
        case .databaseSeconds:
            Declaration(
                family: Family(
                    "shacache_database_wait_seconds_total", .counter,
                    "Time in which threads waited for the database, connecting included."), unit: .time)
        case .databaseSessions:
            Declaration(
                family: Family(
                    "shacache_database_sessions_opened_total", .counter,
                    "Sessions that were opened: one for each thread at its first need, the others after a loss."))
        case .databaseErrors:
            Declaration(
                family: Family("shacache_database_errors_total", .counter, "Statements that failed, by kind."),
                labels: [.databaseError])
        // Without upstreams, none of these is shown.
        case .nearRequests:
            Declaration(
                family: Family(
                    "shacache_near_requests_total", .counter,
                    "Requests for blobs that were here (hit) or that the fetcher was asked for (miss), and for keys of which "
                        + "what was here was the answer, or was too old for it."),
                labels: [.nearTarget, .nearResult], showsZeros: false)
        case .fetches:
            Declaration(
                family: Family(
                    "shacache_fetches_total", .counter,
                    "Blobs that were looked for at the upstreams, by what came of it."),
                labels: [.fetchResult], showsZeros: false)
        case .fetchedBytes:
            Declaration(
                family: Family("shacache_fetched_bytes_total", .counter, "Bytes of blobs that came from upstreams."),
                showsZeros: false)
        case .fetchesInFlight:
            Declaration(
                family: Family("shacache_fetches_in_flight", .gauge, "Blobs that are on their way from an upstream."),
                showsZeros: false)
        case .fedClients:
            Declaration(
                family: Family(
                    "shacache_fed_clients", .gauge, "Clients that are sent a blob while it comes from an upstream."),
                showsZeros: false)
        case .fedBytes:
            Declaration(
                family: Family(
                    "shacache_fed_bytes_total", .counter, "Bytes that were sent to clients while their blob came."),
                showsZeros: false)
        case .upstreamFailures:
            Declaration(
                family: Family(
                    "shacache_upstream_failures_total", .counter,
                    "Times that an upstream gave no blob, and no list of a key, by reason."),
                labels: [.upstreamFailure], showsZeros: false)
        case .openBreakers:
            Declaration(
                family: Family(
                    "shacache_upstreams_away", .gauge, "Upstreams that aren't asked, since they did not answer."),
                showsZeros: false)
        case .refusedPairs:
            Declaration(
                family: Family(
                    "shacache_refused_pairs_total", .counter,
                    "Pairs of upstreams' lists that would not be taken from a client, and so aren't listed here."),
                showsZeros: false)
        }
    }
}

/// A metric family, as Prometheus calls it: what is counted or measured under one name.
public struct Family: Sendable {
    public enum MetricType: String, Sendable {
        case counter, gauge, histogram
    }

    /// With `_total` where it counts, and the base unit (seconds, bytes) where it has one.
    public let name: String
    public let type: MetricType
    /// One line, for people.
    public let help: String

    public init(_ name: String, _ type: MetricType, _ help: String) {
        self.name = name
        self.type = type
        self.help = help
    }

    /// The upper bounds of a histogram's buckets, in seconds: what a blob in memory takes, and what the largest image
    /// on a slow line does. The deployed clients give up after an hour.
    static let bounds = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600,
    ]
}

/// What tells the series of one family apart. The values are a closed set, so that each series has its place in memory,
/// and no client can make more of them.
struct Label: Sendable {
    let name: String
    let values: [String]

    /// - Returns: nil for a value that is not in the list, where the list has no `other`: that is a mistake of ours.
    func index(of value: String) -> Int? { values.firstIndex(of: value) ?? values.firstIndex(of: Self.other) }
}

extension Label {
    private static let other = "other"

    static let route = Label(
        name: "route", values: ["blob", "blobs", "key", "list", "feed", "account request", "health", "metrics", other])
    static let method = Label(name: "method", values: ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", other])
    static let status = Label(
        name: "status",
        values: Status.allCases.map { "\($0.rawValue)" } + [other])
    static let socket = Label(name: "socket", values: ["lookups", "uploads"])
    static let target = Label(name: "target", values: ["blob", "entry"])
    static let answer = Label(name: "target", values: ["entry", "message"])
    static let stage = Label(name: "stage", values: ["receive", "hash", "synchronize", "commit"])
    static let signature = Label(name: "result", values: ["verified", "unsigned", "unknown signer"])
    static let refusal = Label(name: "reason", values: Refusal.Name.allCases.map(\.rawValue))
    static let failure = Label(name: "reason", values: FailureName.allCases.map(\.rawValue))
    static let nearTarget = Label(name: "target", values: ["blob", "key"])
    static let nearResult = Label(name: "result", values: ["hit", "miss"])
    static let fetchResult = Label(name: "result", values: FetchResult.allCases.map(\.rawValue))
    static let upstreamFailure = Label(name: "reason", values: UpstreamFailureName.allCases.map(\.rawValue))
    static let databaseError = Label(
        name: "kind", values: ["unavailable", "lost", "unknown outcome", "rejected"])
}

/// Stable names of what fails on the server's side, to group by in the record, logs and metrics.
public enum FailureName: String, CaseIterable, Sendable {
    case databaseUnavailable = "database unavailable"
    case unknownOutcome = "unknown outcome"
    case schemaIsOlder = "schema is older"
    case noSpace = "no space"
    case storeReadOnly = "store read-only"
    case storeBroken = "store broken"
    case journalFailed = "journal failed"
    case internalError = "internal error"
}

/// What came of looking for a blob at the upstreams.
public enum FetchResult: String, CaseIterable, Sendable {
    case stored
    /// Its clients had it, and it could not be stored.
    case notStored = "not stored"
    /// No upstream has it, or it is withdrawn here.
    case absent
    /// No upstream gave it.
    case failed
    /// The database, which knows what is withdrawn, was away.
    case unknown
    /// Its clients had left.
    case abandoned
}

/// Stable names of why an upstream gave no blob, to group by in logs and metrics.
public enum UpstreamFailureName: String, CaseIterable, Sendable {
    /// No connection, or no whole header in time.
    case noAnswer = "no answer"
    /// The other side's certificate, or ours, was not accepted, or ours can't be read.
    case certificate
    /// A redirect to a host that the configuration doesn't name.
    case redirect
    /// A status that is neither success nor absence.
    case status
    /// A status of success, and not the blob, or no list: another encoding, another range, headers without end. Or what can't
    /// be read as an answer.
    case notTheBlob = "not the blob"
    case tooLarge = "too large"
    /// The body ended, or stalled, before it was whole.
    case interrupted
    /// The whole body, with another hash than its name.
    case wrongBytes = "wrong bytes"
    /// The same, behind what an earlier try had left here: after a power cut that may be zeros.
    case damagedPart = "damaged part"
}
