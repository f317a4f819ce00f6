import Postgres
import Storage
import Synchronization

extension Monitoring {
    /// The result of the last commit that was made as a health check.
    struct CommitProbe: Sendable {
        let doesCommit: Bool
        let end: ContinuousClock.Instant

        var isFresh: Bool { end.duration(to: .now) < .seconds(5) }
    }

    /// Whether the database commits. A server may answer every question, and let each COMMIT wait: for a synchronous
    /// standby that is dead, or a disk that hangs.
    ///
    /// A commit costs an fsync there, so a worker makes one every few seconds at most, however many ask.
    ///
    /// - Throws: `DatabaseError` for any other reason than that a commit takes too long.
    func databaseCommits() throws -> Bool {
        let known = lastCommit.withLock { $0 }
        if let known, known.isFresh { return known.doesCommit }
        // While another thread probes, the last result counts.
        guard let doesCommit = try session.withLockIfAvailable({ try commits($0) }) else {
            return known?.doesCommit ?? true
        }
        lastCommit.withLock { $0 = CommitProbe(doesCommit: doesCommit, end: .now) }
        return doesCommit
    }

    private func commits(_ session: Session, isSecondTry: Bool = false) throws -> Bool {
        let begin = ContinuousClock.now
        do {
            try session.probeCommit()
            return true
        } catch let error as DatabaseError where error.kind == .lost {
            guard begin.duration(to: .now) < .seconds(1) else { return false }
            // A session that had ended, unnoticed since its last use, fails at once.
            guard !isSecondTry else { throw error }
            return try commits(session, isSecondTry: true)
        }
    }
}
