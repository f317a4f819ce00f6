public import Logging
public import Service
import ShaCache
import Storage
import TOMLKit

/// The one configuration file of worker and admin, read once. `ops/shacache.toml` explains every option.
public struct Configuration: Decodable, Sendable {
    /// Of the programs that it configures.
    public static let version = Version.current

    public let database: Database
    public let store: Store
    public let worker: Worker
    public let uploads: Uploads
    public let ca: CertificateAuthorityFiles?
    public let log: Log

    private enum CodingKeys: String, CodingKey { case database, store, worker, uploads, ca, log }

    public init(from decoder: any Decoder) throws {
        let sections = try decoder.container(keyedBy: CodingKeys.self)
        database = try sections.decode(Database.self, forKey: .database)
        store = try sections.decode(Store.self, forKey: .store)
        worker = try sections.section(.worker)
        uploads = try sections.section(.uploads)
        ca = try sections.decodeIfPresent(CertificateAuthorityFiles.self, forKey: .ca)
        log = try sections.section(.log)
    }

    public struct Database: Decodable, Sendable {
        /// libpq's keyword/value form or URI, without a user: each program logs in as its own role.
        public let connection: String
    }

    public struct Store: Decodable, Sendable {
        public let directory: String
    }

    public struct Worker: Decodable, Sendable {
        public let lookupThreads: Int
        public let uploadThreads: Int

        private enum CodingKeys: String, CodingKey {
            case lookupThreads = "lookup-threads"
            case uploadThreads = "upload-threads"
        }

        public init(from decoder: any Decoder) throws {
            let options = try decoder.container(keyedBy: CodingKeys.self)
            lookupThreads = try options.positive(.lookupThreads) ?? 8
            uploadThreads = try options.positive(.uploadThreads) ?? 4
        }
    }

    public struct Uploads: Decodable, Sendable {
        public let rules: Service.Rules

        private enum CodingKeys: String, CodingKey {
            case signatures
            case blobSizeLimit = "blob-size-limit"
            case entriesPerKey = "entries-per-key"
            case bytesPerKey = "bytes-per-key"
            case entriesPerKeyAndAccount = "entries-per-key-and-account"
        }

        public init(from decoder: any Decoder) throws {
            let options = try decoder.container(keyedBy: CodingKeys.self)
            rules = Service.Rules(
                signatures: try options.decodeIfPresent(SignaturePolicy.self, forKey: .signatures) ?? .record,
                keys: KeyLimits(
                    entries: try options.positive(.entriesPerKey) ?? 1000,
                    bytes: try options.positive(.bytesPerKey) ?? 1 << 20,
                    entriesPerAccount: try options.positive(.entriesPerKeyAndAccount) ?? 500),
                blobSize: try options.positive(.blobSizeLimit))
        }
    }

    public struct CertificateAuthorityFiles: Decodable, Sendable {
        public let certificate: String
        public let key: String
    }

    public struct Log: Decodable, Sendable {
        public let level: Logger.Level

        private enum CodingKeys: String, CodingKey { case level }

        public init(from decoder: any Decoder) throws {
            let options = try decoder.container(keyedBy: CodingKeys.self)
            level = try options.decodeIfPresent(Logger.Level.self, forKey: .level) ?? .info
        }
    }
}
