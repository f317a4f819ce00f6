public import Postgres

extension Configuration {
    /// Statements of a worker end after 10 s, also those that wait for another upload of the same blob: then the
    /// answer is 503, and a stuck session delays others no longer.
    public var workerDatabase: ConnectionOptions { options(role: "shacache_worker", statementTimeLimit: 10) }

    /// Of the page. Shorter than its role's limit, since a person waits.
    public var pageDatabase: ConnectionOptions {
        options(role: "shacache_page", statementTimeLimit: 3, isReadOnly: true)
    }

    /// For what is shown at /metrics: a scrape waits a few seconds at most, also for a server that hangs.
    public var metricsDatabase: ConnectionOptions { options(role: "shacache_worker", statementTimeLimit: 1) }

    public var adminDatabase: ConnectionOptions { options(role: "shacache_admin") }

    /// For migrations.
    public var ownerDatabase: ConnectionOptions { options(role: "shacache_owner") }

    private func options(role: String, statementTimeLimit: Int = 0, isReadOnly: Bool = false) -> ConnectionOptions {
        ConnectionOptions(
            connectionString: database.connection, role: role, statementTimeLimit: statementTimeLimit,
            isReadOnly: isReadOnly)
    }
}
