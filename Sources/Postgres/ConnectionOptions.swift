/// How to reach the server, the role, and the timeouts.
public struct ConnectionOptions: Sendable {
    /// libpq's keyword/value form or URI, without a user.
    public let connectionString: String
    /// The database role to log in as.
    public let role: String
    /// After this many seconds a statement is ended, also one that waits for a lock; a server that doesn't even do
    /// that is given up soon after. 0: never.
    public let statementTimeLimit: Int
    /// It changes nothing, even by mistake.
    public let isReadOnly: Bool

    public init(
        connectionString: String, role: String, statementTimeLimit: Int = 0, isReadOnly: Bool = false
    ) {
        self.connectionString = connectionString
        self.role = role
        self.statementTimeLimit = statementTimeLimit
        self.isReadOnly = isReadOnly
    }
}

extension ConnectionOptions {
    /// What sets, at the beginning of each session, what ShaCache counts on: a database and its roles may have other
    /// defaults, and so may the environment of the user of a program. One text, and so one round trip.
    ///
    /// Left to the server are the language of its messages, which only superusers may set, and what is merely fast or
    /// slow.
    var settings: String {
        // The time limit first, or the rest might take too long for another one; from the search path on, names mean
        // PostgreSQL's own. A setting that this release of PostgreSQL doesn't know is left out. A commit waits for the
        // disk at least; for a standby, if the role's settings ask for it.
        """
        SET statement_timeout = '\(statementTimeLimit)s'; SET search_path = pg_catalog, pg_temp; \
        SELECT set_config(name, value, false) FROM (VALUES \(values), \
        ('synchronous_commit', coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'))\
        ) AS wanted(name, value) WHERE current_setting(name, true) IS NOT NULL
        """
    }

    private var values: String {
        let settings = [
            // Such a wait is part of its statement.
            ("lock_timeout", "0"),
            ("idle_session_timeout", "0"),
            // Of PostgreSQL 17 and later.
            ("transaction_timeout", "0"),
            ("default_transaction_isolation", "read committed"),
            ("default_transaction_read_only", isReadOnly ? "on" : "off"),
            ("default_transaction_deferrable", "off"),
            ("TimeZone", "UTC"),
            ("DateStyle", "ISO, YMD"),
            ("IntervalStyle", "postgres"),
            ("bytea_output", "hex"),
            ("extra_float_digits", "1"),
            ("standard_conforming_strings", "on"),
            ("array_nulls", "on"),
            ("transform_null_equals", "off"),
            ("row_security", "on"),
            ("plan_cache_mode", "auto"),
        ]
        // Workers have a limit by their role, which may be shortened there. A report in a pager may take longer.
        let idle = statementTimeLimit == 0 ? [("idle_in_transaction_session_timeout", "0")] : []
        return (settings + idle).map { "('\($0)', '\($1)')" }.joined(separator: ", ")
    }
}
