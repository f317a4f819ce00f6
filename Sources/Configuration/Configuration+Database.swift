public import Postgres

extension Configuration {
    /// Statements of a worker end after 10 s, also those that wait for another upload of the same blob: then the
    /// answer is 503, and a stuck session holds up nobody for longer.
    public var workerDatabase: Connection.Target { target(role: "shacache_worker", statementTimeLimit: 10) }

    /// Of the page: nobody waits for one as long as its role may take.
    public var pageDatabase: Connection.Target {
        target(role: "shacache_page", statementTimeLimit: 3, isReadOnly: true)
    }

    /// For what is shown at /metrics: a scrape waits a few seconds at most, also for a server that hangs.
    public var metricsDatabase: Connection.Target { target(role: "shacache_worker", statementTimeLimit: 1) }

    public var adminDatabase: Connection.Target { target(role: "shacache_admin") }

    /// For migrations.
    public var ownerDatabase: Connection.Target { target(role: "shacache_owner") }

    private func target(role: String, statementTimeLimit: Int = 0, isReadOnly: Bool = false) -> Connection.Target {
        Connection.Target(
            connectionString: database.connection, role: role, statementTimeLimit: statementTimeLimit,
            isReadOnly: isReadOnly)
    }
}
