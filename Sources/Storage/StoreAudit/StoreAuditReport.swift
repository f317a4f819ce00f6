import Glibc
import Postgres
import ShaCache

/// What a store audit found: how much of each kind lies in the store, and which files an operator should look at.
public struct StoreAuditReport: Sendable {
    enum FileKind: String, CaseIterable {
        /// A blob that a visible entry names.
        case referenced
        /// A blob that no visible entry names.
        case unreferenced
        /// A withdrawn blob, whose bytes are kept apart.
        case withdrawn
        /// A withdrawn blob whose bytes lie where readers look.
        case exposed
        /// A blob whose file has another size than was acknowledged.
        case damaged
        /// A damaged file that the scrub took out of readers' sight.
        case quarantined
        /// A blob that a collection removed, and whose bytes are kept for a while.
        case trash
        /// What only the database knows, a second time.
        case journal
        /// A file without a row, so young that its upload may still be running.
        case arriving
        /// A file without a row, of an upload that was never acknowledged.
        case orphan
        /// The body of a running upload, or the remains of an aborted one; the mark of a restore.
        case temporary
        /// A file that the store did not make.
        case unknown
        /// The directories themselves, which allocate space as well.
        case directory
        /// An acknowledged blob without a file.
        case dangling

        /// Whether the files are listed by name, for an operator to look at.
        var isDiscrepancy: Bool { [.exposed, .damaged, .orphan, .unknown, .dangling].contains(self) }
    }

    struct Sum {
        var files = 0
        var bytes = 0
        /// On disk, in whole blocks.
        var allocated = 0
    }

    struct Discrepancy {
        let kind: FileKind
        let name: String
        let bytes: Int
        let detail: String
    }

    /// How many of each kind are named: enough to see what went wrong.
    static let namedPerKind = 100

    /// Seconds since 1970.
    let start: Int
    private(set) var sums: [FileKind: Sum] = [:]
    private(set) var discrepancies: [Discrepancy] = []
    private var found: [FileKind: Int] = [:]

    init(start: Int = time(nil)) { self.start = start }

    mutating func add(_ item: StoredItem) {
        let file = item.file
        sums[item.kind, default: Sum()] += Sum(files: 1, bytes: file.bytes, allocated: file.allocated)
        if item.kind.isDiscrepancy { note(item.kind, item.name, bytes: file.bytes, item.detail) }
    }

    private mutating func note(_ kind: FileKind, _ name: String, bytes: Int, _ detail: String) {
        found[kind, default: 0] += 1
        guard found[kind]! <= Self.namedPerKind else { return }
        discrepancies.append(Discrepancy(kind: kind, name: name, bytes: bytes, detail: detail))
    }
}

extension StoreAuditReport {
    /// For people and scripts: the kinds on disk, their total, and last the dangling rows.
    public var table: Table {
        let total = sums.filter { $0.key != .dangling }.values.reduce(into: Sum()) { $0 += $1 }
        let lines = FileKind.allCases.filter { $0 != .dangling }.map { ($0.rawValue, sums[$0] ?? Sum()) }
        return Table(
            columns: ["kind", "files", "bytes", "allocated"],
            rows: (lines + [("total", total), (FileKind.dangling.rawValue, sums[.dangling] ?? Sum())]).map {
                name, sum in
                [.text(name), .number("\(sum.files)"), .number("\(sum.bytes)"), .number("\(sum.allocated)")]
            })
    }
}

extension StoreAuditReport.Sum {
    fileprivate static func += (sum: inout Self, more: Self) {
        sum.files += more.files
        sum.bytes += more.bytes
        sum.allocated += more.allocated
    }
}

/// What the last audit of a host's store found of one kind.
public struct StoreAuditSum: Sendable {
    public let host: String
    public let kind: String
    public let files: Int
    /// Allocated on disk.
    public let bytes: Int
}

/// The recorded reports of store audits.
public struct StoreAuditReports {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// Audits a store, and records the report.
    ///
    /// - Parameter host: the host that has the store.
    public func audit(_ files: LocalBlobs, of host: String) throws -> StoreAuditReport {
        var report = StoreAuditReport()
        var walk = StoreWalk(of: BlobRepository(files, session), from: report.start, isCountingOnce: true) {
            report.add($0)
        }
        try walk.run()
        try save(report, free: files.free(), host: host)
        return report
    }

    private func save(_ report: StoreAuditReport, free: LocalBlobs.Free, host: String) throws {
        try session.connection.transaction {
            let id = try session.connection.run(
                """
                INSERT INTO shacache.survey (
                    started_at, host, filesystem_bytes, free_bytes, filesystem_inodes, free_inodes)
                VALUES (
                    to_timestamp(\(report.start)), \(host), \(free.totalBytes), \(free.bytes), \(free.totalInodes),
                    \(free.inodes))
                RETURNING id
                """
            ).first!.int(0)
            for kind in StoreAuditReport.FileKind.allCases {
                let sum = report.sums[kind] ?? StoreAuditReport.Sum()
                try session.connection.run(
                    """
                    INSERT INTO shacache.survey_sum (survey_id, kind, files, bytes, allocated)
                    VALUES (\(id), \(kind.rawValue), \(sum.files), \(sum.bytes), \(sum.allocated))
                    """)
            }
            for found in report.discrepancies {
                try session.connection.run(
                    """
                    INSERT INTO shacache.survey_finding (survey_id, kind, name, bytes, detail)
                    VALUES (\(id), \(found.kind.rawValue), \(found.name), \(found.bytes), \(found.detail))
                    """)
            }
        }
    }

    /// The sums of the last report of each host that is not forgotten, by host and kind.
    public func latestSums() throws -> [StoreAuditSum] {
        let rows = try session.reading {
            try session.connection.run(
                """
                SELECT last.host, sum.kind, sum.files, sum.allocated
                FROM shacache.task_run AS run
                CROSS JOIN LATERAL (
                    SELECT id, host FROM shacache.survey WHERE survey.host = run.host ORDER BY at DESC LIMIT 1) AS last
                JOIN shacache.survey_sum AS sum ON sum.survey_id = last.id
                WHERE run.task = 'survey' AND NOT run.is_forgotten
                ORDER BY last.host, sum.kind
                """)
        }
        return rows.map {
            StoreAuditSum(host: $0.text(0)!, kind: $0.text(1)!, files: $0.int(2)!, bytes: $0.int(3)!)
        }
    }
}
