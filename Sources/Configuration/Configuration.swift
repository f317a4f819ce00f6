public import Logging
import ShaCache
public import Storage
import TOMLKit

/// The one configuration file of worker and admin, read once. `ops/shacache.toml` explains every option.
public struct Configuration: Decodable, Sendable {
    /// Of the programs that it configures.
    public static let version = Version.current

    public let database: Database
    public let store: Store
    public let worker: Worker
    public let uploads: Uploads
    public let record: Record
    public let site: Site
    public let ca: CertificateAuthorityFiles?
    public let metrics: Metrics
    public let log: Log
    public let feed: FeedSection
    public let accountRequests: AccountRequestsSection
    /// In the order of the file; without any, nothing is ever removed.
    public internal(set) var retention: [RetentionPolicy]
    public let collection: CollectionSection
    /// In the order in which they are asked; without any, nothing is fetched.
    public let upstreams: [Upstream]
    public let fetching: Fetching
    /// What is found later can say where.
    var origin: Origin?

    private enum CodingKeys: String, CodingKey {
        case database, store, worker, uploads, record, site, ca, metrics, log, feed, retention, collection, fetching
        case upstreams = "upstream"
        case accountRequests = "account-requests"
    }

    public init(from decoder: any Decoder) throws {
        let sections = try decoder.options(CodingKeys.self)
        database = try sections.decode(Database.self, forKey: .database)
        store = try sections.decode(Store.self, forKey: .store)
        worker = try sections.section(.worker)
        uploads = try sections.section(.uploads)
        record = try sections.section(.record)
        site = try sections.section(.site)
        ca = try sections.decodeIfPresent(CertificateAuthorityFiles.self, forKey: .ca)
        metrics = try sections.section(.metrics)
        log = try sections.section(.log)
        feed = try sections.section(.feed)
        accountRequests = try sections.section(.accountRequests)
        collection = try sections.section(.collection)
        fetching = try sections.section(.fetching)
        upstreams = try sections.decodeIfPresent([Upstream].self, forKey: .upstreams) ?? []
        retention = try sections.decodeIfPresent([RetentionTable].self, forKey: .retention)?.map(\.policy) ?? []
    }

    public struct Database: Decodable, Sendable {
        /// libpq's keyword/value form or URI, without a user: each program logs in as its own role.
        public let connection: String

        private enum CodingKeys: String, CodingKey { case connection }

        public init(from decoder: any Decoder) throws {
            connection = try decoder.options(CodingKeys.self).decode(String.self, forKey: .connection)
        }
    }

    public struct Store: Decodable, Sendable {
        public let directory: String

        private enum CodingKeys: String, CodingKey { case directory }

        public init(from decoder: any Decoder) throws {
            directory = try decoder.options(CodingKeys.self).decode(String.self, forKey: .directory)
        }
    }

    public struct Worker: Decodable, Sendable {
        public let lookupThreads: Int
        public let uploadThreads: Int

        private enum CodingKeys: String, CodingKey {
            case lookupThreads = "lookup-threads"
            case uploadThreads = "upload-threads"
        }

        public init(from decoder: any Decoder) throws {
            let options = try decoder.options(CodingKeys.self)
            lookupThreads = try options.positive(.lookupThreads) ?? 8
            uploadThreads = try options.positive(.uploadThreads) ?? 16
        }
    }

    public struct Uploads: Decodable, Sendable {
        public let rules: UploadRules

        private enum CodingKeys: String, CodingKey {
            case signatures
            case refusesCredentials = "refuse-credentials"
            case blobSizeLimit = "blob-size-limit"
            case entriesPerKey = "entries-per-key"
            case bytesPerKey = "bytes-per-key"
            case entriesPerKeyAndAccount = "entries-per-key-and-account"
        }

        public init(from decoder: any Decoder) throws {
            let options = try decoder.options(CodingKeys.self)
            rules = UploadRules(
                signatures: try options.decodeIfPresent(SignaturePolicy.self, forKey: .signatures) ?? .record,
                refusesCredentials: try options.decodeIfPresent(Bool.self, forKey: .refusesCredentials) ?? false,
                keys: KeyLimits(
                    entries: try options.positive(.entriesPerKey) ?? 1000,
                    bytes: try options.positive(.bytesPerKey) ?? 1 << 20,
                    entriesPerAccount: try options.positive(.entriesPerKeyAndAccount) ?? 500),
                blobSize: try options.positive(.blobSizeLimit))
        }
    }

    /// The record of uploads, and the sums of downloads.
    public struct Record: Decodable, Sendable {
        /// How many months before the current one are kept; nil: all.
        public let retentionMonths: Int?
        /// How many months before the current one have each blob's and key's downloads by day; nil: all.
        public let dailyDownloadMonths: Int?

        private enum CodingKeys: String, CodingKey {
            case retentionMonths = "retention-months"
            case dailyDownloadMonths = "daily-download-months"
        }

        public init(from decoder: any Decoder) throws {
            let options = try decoder.options(CodingKeys.self)
            retentionMonths = try options.positive(.retentionMonths)
            dailyDownloadMonths = try options.positive(.dailyDownloadMonths)
        }
    }

    /// What clients and visitors are told of this server.
    public struct Site: Decodable, Sendable {
        public let name: String
        /// Without a slash at the end.
        public let downloadURL: String?
        /// Without a slash at the end.
        public let uploadURL: String?
        /// The file of the authority by which clients know the server; nil when every system knows it.
        public let authority: String?
        /// The contact for an account: an address, a URL, or words.
        public let contact: String?
        /// Whether the page names the accounts of uploads.
        public let showsAccounts: Bool

        private enum CodingKeys: String, CodingKey {
            case name, authority, contact
            case downloadURL = "download-url"
            case uploadURL = "upload-url"
            case showsAccounts = "show-accounts"
        }

        public init(from decoder: any Decoder) throws {
            let options = try decoder.options(CodingKeys.self)
            name = try options.decodeIfPresent(String.self, forKey: .name) ?? "ShaCache"
            downloadURL = try options.url(.downloadURL)
            uploadURL = try options.url(.uploadURL)
            authority = try options.decodeIfPresent(String.self, forKey: .authority)
            contact = try options.decodeIfPresent(String.self, forKey: .contact)
            showsAccounts = try options.decodeIfPresent(Bool.self, forKey: .showsAccounts) ?? false
        }
    }

    public struct CertificateAuthorityFiles: Decodable, Sendable {
        /// In PEM; behind the authority's own those that vouch for it, if it doesn't itself.
        public let certificate: String
        public let key: String
        /// Whose first line is the key's passphrase; nil when it has none, or it is asked for on the terminal.
        public let passphraseFile: String?

        private enum CodingKeys: String, CodingKey {
            case certificate, key
            case passphraseFile = "passphrase-file"
        }

        public init(from decoder: any Decoder) throws {
            let options = try decoder.options(CodingKeys.self)
            certificate = try options.decode(String.self, forKey: .certificate)
            key = try options.decode(String.self, forKey: .key)
            passphraseFile = try options.decodeIfPresent(String.self, forKey: .passphraseFile)
        }
    }

    public struct Metrics: Decodable, Sendable {
        /// Where the workers of a host show each other their figures.
        public let directory: String
        /// Files in PEM whose expiry is shown.
        public let certificates: [String]

        private enum CodingKeys: String, CodingKey { case directory, certificates }

        public init(from decoder: any Decoder) throws {
            let options = try decoder.options(CodingKeys.self)
            directory = try options.decodeIfPresent(String.self, forKey: .directory) ?? "/run/shacache/metrics"
            certificates =
                try options.decodeIfPresent([String].self, forKey: .certificates)
                ?? ["/etc/shacache/tls/server.crt", "/etc/shacache/tls/clients-ca.crt"]
        }
    }

    public struct Log: Decodable, Sendable {
        public let level: Logger.Level

        private enum CodingKeys: String, CodingKey { case level }

        public init(from decoder: any Decoder) throws {
            let options = try decoder.options(CodingKeys.self)
            level = try options.decodeIfPresent(Logger.Level.self, forKey: .level) ?? .info
        }
    }
}
