import Postgres

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

    func save(_ report: StoreAuditReport, free: LocalBlobs.Free, host: String) throws {
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
