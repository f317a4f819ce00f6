import Postgres

/// What is kept beside blobs, entries, uploads and downloads, compared with these.
extension StoreCheck {
    func checkSums() throws {
        try attempt(.accountUsage, checkAccounts)
        try attempt(.keyCount, checkKeys)
        try attempt(.entryBeforeBlob, checkNotes)
        try attempt(.uploadDay, checkUploadDays)
        try attempt(.downloadMonth, checkDownloads)
        try attempt(.archive, checkArchives)
    }

    private func attempt(_ kind: CheckKind, _ check: () throws -> Void) throws { try attempt(kind.rawValue, check) }

    private func checkAccounts() throws {
        let usage = AccountUsage(session)
        let accounts = try repairer.map { try usage.repair(by: $0).table } ?? usage.compare().table
        for row in accounts.rows.map({ $0.map(\.text) }) where row[5] == "differs" {
            try addSum(.accountUsage, row[0], "blobs \(row[1]), counted \(row[2]); bytes \(row[3]), counted \(row[4])")
        }
    }

    private func checkKeys() throws {
        try EntryCounts(session).forEachDifferingKey(isRepairing: repairer != nil) {
            try addSum(.keyCount, $0.key, "entries \($0.stored), counted \($0.counted)")
        }
    }

    private func checkNotes() throws {
        try EntryCounts(session).forEachDifferingNote(isRepairing: repairer != nil) {
            let why = $0.isNoted ? "is noted as one without blob, and has it" : "has no blob, and isn't noted"
            try addSum(.entryBeforeBlob, "entry \($0.entry)", "under \($0.key) \(why)")
        }
    }

    private func checkUploadDays() throws {
        for row in try Maintenance(session).recountDays(repairingAs: repairer).rows.map({ $0.map(\.text) }) {
            try addSum(.uploadDay, row[0], "uploads \(row[1]), counted \(row[2]); bytes \(row[3]), counted \(row[4])")
        }
    }

    private func checkDownloads() throws {
        for row in try DownloadCounters(session).differingMonths().rows.map({ $0.map(\.text) }) {
            let difference = "\(row[2]), counted \(row[3]); bytes \(row[4]), counted \(row[5])"
            try addSum(.downloadMonth, row[0], "requests for \(row[1])s \(difference)")
        }
    }

    private func checkArchives() throws {
        try ReleaseArchives(session).forEachUnreadable { archive, problem in
            try addSum(.archive, archive.digest.description, "under \(archive.key): \(problem)")
        }
    }

    /// One that was repaired as it was compared, if it could be.
    private func addSum(_ kind: CheckKind, _ name: String, _ detail: String) throws {
        try add(kind, name, detail: detail) { true }
    }
}
