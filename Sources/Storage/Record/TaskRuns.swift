import Postgres

/// What a timer runs, by the name of its command.
public enum TimedTask: String, Sendable {
    case maintain, survey
    case ingestLog = "ingest-log"
}

/// The last successful run of a task.
public struct TaskRun: Sendable {
    public let task: String
    /// The host that ran it; nil for a task that one host does for all.
    public let host: String?
    /// Seconds since 1970.
    public let at: Int
    /// How many problems it found.
    public let findings: Int
}

/// The record of successful task runs, from which monitoring sees that a timer fails.
public struct TaskRuns {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// Records that a task has completed, also when there was nothing to do.
    ///
    /// - Parameter findings: how many problems an operator should look at.
    public func recordRun(of task: TimedTask, on host: String, findings: Int = 0) throws {
        try session.connection.run(
            """
            INSERT INTO shacache.task_run (task, host, findings) VALUES (\(task.rawValue), \(host), \(findings))
            ON CONFLICT (task, host) DO UPDATE SET at = now(), findings = excluded.findings, is_forgotten = false
            """)
    }

    /// The last run of each task on each host, without forgotten hosts. `maintain` has one for all hosts, whichever of
    /// them ran it.
    public func latest() throws -> [TaskRun] {
        let rows = try session.reading {
            try session.connection.run(
                """
                SELECT DISTINCT ON (task, place) task, place, floor(extract(epoch FROM at))::bigint, findings
                FROM (
                    SELECT task, CASE WHEN task <> 'maintain' THEN host END AS place, at, findings
                    FROM shacache.task_run WHERE NOT is_forgotten
                ) AS run
                ORDER BY task, place, at DESC
                """)
        }
        return rows.map { TaskRun(task: $0.text(0)!, host: $0.text(1), at: $0.int(2)!, findings: $0.int(3)!) }
    }

    /// For a host that was removed: its tasks are not expected any more, and its last survey is not shown.
    public func forgetHost(_ host: String, by actor: String) throws {
        try session.audit.change("host forget", of: host, by: actor) {
            let forgotten = try session.connection.run(
                "UPDATE shacache.task_run SET is_forgotten = true WHERE host = \(host) AND NOT is_forgotten RETURNING task"
            )
            guard forgotten.count > 0 else { throw AdministrationError.unknown("host", host) }
        }
    }
}
