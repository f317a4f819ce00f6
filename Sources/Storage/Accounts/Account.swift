import ShaCache

public typealias AccountID = Int

/// An identity that uploads: its roles, key prefixes and limits.
public struct Account: Sendable {
    public let id: AccountID
    public let name: String
    public var roles: Set<Role>
    /// It may put entries only under keys that begin with one of these; nil: under any key.
    public var keyPrefixes: [String]?
    /// A missing limit is unlimited, apart from the configuration's limits for all accounts.
    public var limits: [AccountLimit: Int]
    /// What `identity_of` answers in SQL as long as nothing about the account changes; nil: unknown, and never compared.
    var version: Int?

    /// - Parameter row: of shacache.account, as to_json writes it.
    /// - Throws: `SchemaIsOlder`: a worker may have been started before the database was migrated.
    init(row: JSON) throws(SchemaIsOlder) {
        guard let id = row["id"]?.int, let name = row["name"]?.string, let roles = row["roles"]?.strings else {
            throw SchemaIsOlder()
        }
        (self.id, self.name) = (id, name)
        self.roles = Set(roles.compactMap { Role(rawValue: $0) })
        keyPrefixes = row["key_prefixes"]?.strings
        limits = [:]
        for limit in AccountLimit.allCases { limits[limit] = row[limit.rawValue]?.int }
    }
}

/// What an account may do. Each is independent of the others.
public enum Role: String, CaseIterable, Sendable {
    /// Upload blobs.
    case blobs
    /// Upload entries.
    case entries
    /// Withdraw what it uploaded itself.
    case withdraw
    /// See what is for operators, and withdraw anything.
    case `operator`
}

/// What the database knows about a client certificate at this moment.
public enum CertificateStatus: Sendable {
    case valid(Account)
    case unknown
    case revoked(Account)
    /// Since the TLS connection was made, or the session that it resumes: nginx looked at it then.
    case expired(Account)
    case disabled(Account)
}

extension JSON {
    fileprivate var int: Int? {
        guard case .number(let text) = self else { return nil }
        return Int(text)
    }

    fileprivate var strings: [String]? {
        guard case .array(let elements) = self else { return nil }
        return elements.compactMap(\.string)
    }
}

/// How much an account may store, by the name of the column.
public enum AccountLimit: String, CaseIterable, Sendable {
    /// Of all blobs that the account was the first to upload, in bytes.
    case bytes = "bytes_limit"
    /// The number of these blobs.
    case blobs = "blobs_limit"
    /// Of a single blob, in bytes.
    case blobSize = "blob_size_limit"
    /// New entries in a day of UTC.
    case entriesPerDay = "entries_per_day_limit"
    case entriesPerKey = "entries_per_key_limit"
}
