import Postgres

/// What a timer runs, by the name of its command.
public enum TimedTask: String, Sendable {
    case maintain, survey
    case ingestLog = "ingest-log"
}

extension Catalog {
    /// Writes down that a task has just done all that there was to do, be it nothing: what doesn't say so is missed.
    ///
    /// - Parameter findings: what somebody should look at.
    public func recordRun(of task: TimedTask, on host: String, findings: Int = 0) throws {
        try connection.run(
            """
            INSERT INTO shacache.task_run (task, host, findings) VALUES (\(task.rawValue), \(host), \(findings))
            ON CONFLICT (task, host) DO UPDATE SET at = now(), findings = excluded.findings, is_forgotten = false
            """)
    }

    /// When a task last succeeded.
    public struct Run: Sendable {
        public let task: String
        /// Where; nil for what is done once for all hosts.
        public let host: String?
        /// Seconds since 1970.
        public let at: Int
        public let findings: Int
    }

    /// The last one of each task on each host, but for hosts that were forgotten. The upkeep is done for all hosts,
    /// whichever of them does it.
    public func lastRuns() throws -> [Run] {
        let rows = try reading {
            try connection.run(
                """
                SELECT DISTINCT ON (task, place) task, place, floor(extract(epoch FROM at))::bigint, findings
                FROM (
                    SELECT task, CASE WHEN task <> 'maintain' THEN host END AS place, at, findings
                    FROM shacache.task_run WHERE NOT is_forgotten
                ) AS run
                ORDER BY task, place, at DESC
                """)
        }
        return rows.map { Run(task: $0.text(0)!, host: $0.text(1), at: $0.int(2)!, findings: $0.int(3)!) }
    }

    /// Of a host that was taken away: its tasks are no longer missed, nor what its last survey found shown.
    public func forgetHost(_ host: String, by actor: String) throws {
        try change(by: actor, "host forget", host) {
            let forgotten = try connection.run(
                "UPDATE shacache.task_run SET is_forgotten = true WHERE host = \(host) AND NOT is_forgotten RETURNING task"
            )
            guard forgotten.count > 0 else { throw AdministrationError.unknown("host", host) }
        }
    }
}
