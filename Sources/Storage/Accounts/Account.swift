public import OpenSSL
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
    /// What `identity_of` answers in SQL as long as nothing about the account changes; nil: unknown, and never
    /// compared.
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

/// A client certificate as the database has it.
public struct CertificateRecord: Sendable {
    /// In lowercase hex.
    public let fingerprint: String
    public let account: String
    /// Whether its account may upload.
    public let isEnabled: Bool
    public let isRevoked: Bool
    public let origin: CertificateOrigin
    /// Seconds since 1970.
    public let notAfter: Int
    let der: [UInt8]?

    /// nil when the database has only its fingerprint.
    public func certificate() throws -> Certificate? { try der.map { try Certificate(der: $0) } }

    public func hasKey(of other: Certificate) throws -> Bool {
        try certificate()?.publicKey().der() == other.publicKey().der()
    }

    /// Whether another certificate takes its place: for the same account and key, and valid for longer.
    ///
    /// One for another key may belong to another machine, so this one stays in use.
    func isReplaced(by other: CertificateRecord) throws -> Bool {
        guard other.account == account, !other.isRevoked, other.notAfter > notAfter else { return false }
        guard let certificate = try certificate() else { return false }
        return try other.hasKey(of: certificate)
    }

    /// Those that expire within some days, and that no other certificate in use replaces; in the given order.
    ///
    /// - Parameter daysLeft: of each certificate in use, by its fingerprint; the others are left out.
    static func expiring(
        _ records: [CertificateRecord], withinDays days: Int, daysLeft: [String: Int]
    ) throws -> [CertificateRecord] {
        let inUse = records.filter { daysLeft.keys.contains($0.fingerprint) }
        return try inUse.filter { record in
            guard daysLeft[record.fingerprint]! < days else { return false }
            return try !inUse.contains { try record.isReplaced(by: $0) }
        }
    }
}

/// Where a certificate came from.
public enum CertificateOrigin: String, Sendable {
    /// Our authority made it, and its key.
    case issued
    /// Our authority signed a request.
    case signed
    /// Our authority made it for the key of one of its earlier certificates.
    case renewed
    /// Another authority made it, which nginx must trust too.
    case registered
}
