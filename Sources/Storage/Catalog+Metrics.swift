import Postgres

extension Catalog {
    /// What the last survey of a host found of one kind.
    public struct Surveyed: Sendable {
        public let host: String
        public let kind: String
        public let files: Int
        /// That the disk gave.
        public let bytes: Int
    }

    /// Of the hosts that nobody has forgotten.
    public func lastSurveys() throws -> [Surveyed] {
        let rows = try reading {
            try connection.run(
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
            Surveyed(host: $0.text(0)!, kind: $0.text(1)!, files: $0.int(2)!, bytes: $0.int(3)!)
        }
    }
}
