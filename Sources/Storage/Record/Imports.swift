import Postgres

/// What came of an import.
public struct ImportSums: Equatable, Sendable {
    /// Of what was stored.
    public var blobs = 0
    public var bytes = 0
    public var entries = 0
    /// Blobs and entries that were there already.
    public var duplicates = 0
    /// Blobs that an entry names and the source hasn't, and keys that it hasn't.
    public var absent = 0
    /// What was not taken: each was reported with its reason.
    public var refused = 0

    public init() {}
}

/// The record of imports: of each run its actor, its account, its source, and what came of it.
public struct Imports {
    let session: Session

    public init(_ session: Session) { self.session = session }

    public typealias Number = Int

    /// Where an import comes from.
    public enum Kind: String, Sendable {
        case slapproxy, http, tree, exported
    }

    /// Records that an import begins, before it stores anything.
    ///
    /// - Parameter account: in whose name it is stored.
    public func begin(_ kind: Kind, from source: String, for account: Account, by actor: String) throws -> Number {
        try session.connection.transaction {
            let number = try session.connection.run(
                """
                INSERT INTO shacache.import (actor, account_id, kind, source)
                VALUES (\(actor), \(account.id), \(kind.rawValue), \(source)) RETURNING id
                """
            ).first!.int(0)!
            try session.audit.append(
                "import", of: UploadRecord.requestID(ofImport: number), by: actor,
                detail: "\(kind.rawValue) \(source), for the account \(account.name)")
            return number
        }
    }

    /// - Parameter problem: why it ended before it was through; nil when it was.
    public func finish(_ number: Number, _ sums: ImportSums, problem: String?) throws {
        try session.connection.run(
            """
            UPDATE shacache.import
            SET finished_at = now(), blobs = \(sums.blobs), bytes = \(sums.bytes), entries = \(sums.entries),
                duplicates = \(sums.duplicates), absent = \(sums.absent), refused = \(sums.refused), problem = \(problem)
            WHERE id = \(number)
            """)
    }
}

extension UploadRecord {
    /// By an import: no request brought it.
    public init(target: UploadTarget, byImport number: Imports.Number, of account: Account) {
        self.init(
            target: target, clientAddress: "", requestID: Self.requestID(ofImport: number), start: .now)
        self.account = account
    }

    public static func requestID(ofImport number: Imports.Number) -> String { "import-\(number)" }
}
