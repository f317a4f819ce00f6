import Postgres
public import ShaCache

/// An entry as the pages show it.
public struct EntrySummary: Sendable {
    public let id: Int
    public let key: String
    public let sha512: Digest
    public let account: String
    /// `verified`, `unsigned` or `unknown signer`, as of its upload.
    public let signatureResult: String
    public let signer: String?
    /// Seconds since 1970.
    public let signerRevokedAt: Int?
    /// Seconds since 1970.
    public let createdAt: Int
    public let softwareURL: String?
    public let multiarch: String?
    public let os: String?
    public let isHidden: Bool
    public let withdrawal: WithdrawalSummary?
    /// Of the blob that it names, in bytes; nil when that is not stored, or hidden.
    public let blobSize: Int?
    public let isBlobHidden: Bool
}

/// A stored blob as the pages show it.
public struct BlobSummary: Sendable {
    public let sha512: Digest
    /// In bytes.
    public let size: Int
    /// The account that uploaded it first; nil: none did.
    public let account: String?
    /// The name of the cache that it was fetched from; nil: it was uploaded.
    public let upstream: String?
    /// Seconds since 1970.
    public let createdAt: Int
    /// Seconds since 1970.
    public let lastReferencedAt: Int
    public let isHidden: Bool
    public let withdrawal: WithdrawalSummary?
}

/// Why an entry or a blob is hidden.
public struct WithdrawalSummary: Sendable {
    /// Seconds since 1970.
    public let at: Int
    public let by: String
    public let reason: String
}

/// That a collection removed a blob whose bytes are still there.
public struct RemovalSummary: Sendable {
    /// In bytes.
    public let size: Int
    /// Seconds since 1970.
    public let at: Int
    /// The retention policy by which it went.
    public let policy: String
}

/// A key, and the number of its visible entries.
public struct KeySummary: Sendable {
    public let text: String
    public let entries: Int
}

/// Downloads of a blob, since they are counted.
public struct DownloadTotals: Sendable {
    public let requests: Int
    /// Those that were sent to the end.
    public let whole: Int
    /// Actually sent.
    public let bytes: Int
}

extension EntrySummary {
    /// - Parameter row: its columns in the order of `Browsing.entryColumns`.
    init(_ row: ResultRow) {
        self.init(
            id: row.int(0)!, key: row.text(1)!, sha512: row.digest(2)!, account: row.text(3)!,
            signatureResult: row.text(4)!, signer: row.text(5), signerRevokedAt: row.int(6), createdAt: row.int(7)!,
            softwareURL: row.text(8), multiarch: row.text(9), os: row.text(10), isHidden: row.bool(11),
            withdrawal: WithdrawalSummary(row, from: 12), blobSize: row.int(15), isBlobHidden: row.bool(16))
    }
}

extension BlobSummary {
    /// - Parameter row: its columns in the order of `Browsing.blobs`.
    init(_ row: ResultRow) {
        self.init(
            sha512: row.digest(0)!, size: row.int(1)!, account: row.text(2), upstream: row.text(9),
            createdAt: row.int(3)!, lastReferencedAt: row.int(4)!, isHidden: row.bool(5),
            withdrawal: WithdrawalSummary(row, from: 6))
    }
}

extension WithdrawalSummary {
    /// - Parameter column: the first of its three columns.
    fileprivate init?(_ row: ResultRow, from column: Int) {
        guard let at = row.int(column) else { return nil }
        self.init(at: at, by: row.text(column + 1)!, reason: row.text(column + 2)!)
    }
}
