import Fixtures
import Postgres
import Testing

/// Of a database whose defaults are others than PostgreSQL's own, and how sessions get on with it.
struct SessionSettingsTests {
    private let database: TestDatabase

    /// What a session would be given.
    private static let hostile: KeyValuePairs = [
        "search_path": "\"elsewhere\"", "DateStyle": "German, DMY", "IntervalStyle": "sql_standard",
        "TimeZone": "Asia/Kathmandu", "bytea_output": "escape", "extra_float_digits": "-15",
        "standard_conforming_strings": "off", "array_nulls": "off", "transform_null_equals": "on",
        "row_security": "off", "plan_cache_mode": "force_generic_plan",
        "default_transaction_isolation": "serializable", "default_transaction_read_only": "on",
        "default_transaction_deferrable": "on", "statement_timeout": "50ms", "lock_timeout": "1ms",
        "idle_session_timeout": "500ms", "client_encoding": "LATIN1",
    ]

    init() throws {
        database = try TestDatabase()
        let administrator = Connection(ConnectionOptions(connectionString: "dbname=postgres", role: "postgres"))
        for (name, value) in Self.hostile {
            try administrator.runScript("ALTER DATABASE \(database.name) SET \(name) = '\(value)'")
        }
        for role in ["shacache_worker", "shacache_page"] {
            // A role's own in one database goes before all others.
            try administrator.runScript(
                "ALTER ROLE \(role) IN DATABASE \(database.name) SET synchronous_commit = off")
            try administrator.runScript(
                "ALTER ROLE \(role) IN DATABASE \(database.name) SET default_transaction_read_only = on")
        }
    }

    /// Without `target.settings` in `Connection.connect`, each has the hostile value.
    @Test(arguments: [
        ("search_path", "pg_catalog, pg_temp"), ("DateStyle", "ISO, YMD"), ("IntervalStyle", "postgres"),
        ("TimeZone", "UTC"), ("bytea_output", "hex"), ("extra_float_digits", "1"),
        ("standard_conforming_strings", "on"), ("array_nulls", "on"), ("transform_null_equals", "off"),
        ("row_security", "on"), ("plan_cache_mode", "auto"), ("default_transaction_isolation", "read committed"),
        ("default_transaction_read_only", "off"), ("default_transaction_deferrable", "off"),
        ("statement_timeout", "7s"), ("lock_timeout", "0"), ("idle_session_timeout", "0"),
        ("client_encoding", "UTF8"), ("synchronous_commit", "on"),
    ])
    func `a session has what it counts on, whatever the database says`(name: String, value: String) throws {
        let connection = Connection(database.target(as: "shacache_worker", statementTimeLimit: 7))
        #expect(try connection.run("SELECT current_setting(\(name))").first?.text(0) == value)
    }

    @Test func `so has the next one, when the first has ended`() throws {
        let connection = database.connection(as: "shacache_worker")
        _ = try? connection.run("SELECT pg_terminate_backend(pg_backend_pid())")
        #expect(try connection.run("SHOW DateStyle").first?.text(0) == "ISO, YMD")
        #expect(connection.statistics.sessions == 2)
    }

    @Test func `one that only reads can't write`() throws {
        let target = ConnectionOptions(
            connectionString: "dbname=\(database.name)", role: "shacache_owner", isReadOnly: true)
        #expect(throws: DatabaseError.self) { try Connection(target).run("CREATE TABLE shacache.more ()") }
    }

    /// A commit may wait for more than the local disk: that is the operator's to say.
    @Test func `a stronger commit stays`() throws {
        let administrator = Connection(ConnectionOptions(connectionString: "dbname=postgres", role: "postgres"))
        try administrator.runScript(
            "ALTER ROLE shacache_worker IN DATABASE \(database.name) SET synchronous_commit = remote_apply")
        let setting = try database.connection(as: "shacache_worker").run("SHOW synchronous_commit").first?.text(0)
        #expect(setting == "remote_apply")
    }
}
