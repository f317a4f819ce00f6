import ShaCache

/// What of the cache is kept for how long: one table `[[retention]]` of the configuration. Of all policies, in their
/// order, the first that matches an entry decides; what none matches stays for ever.
public struct RetentionPolicy: Sendable, Equatable {
    public var name: String
    public var subject: Subject
    public var keeps: Keeps
    /// Where its table begins in the configuration, counted from 1; nil when that isn't known.
    public var line: Int?

    public init(name: String, subject: Subject, keeps: Keeps, line: Int? = nil) {
        (self.name, self.subject, self.keeps, self.line) = (name, subject, keeps, line)
    }

    /// Its time is over for all that it matches: it needs to keep nothing.
    public var isOfExpired: Bool { if case .entries(let filter) = subject { filter.isExpired } else { false } }

    /// What it decides on.
    public enum Subject: Sendable, Equatable {
        case entries(EntryFilter)
        /// Blobs that no entry names, withdrawn entries included.
        case unnamedBlobs(account: String?)
    }

    /// All of it must match; nil matches everything.
    public struct EntryFilter: Sendable, Equatable {
        public var keyPrefix: String?
        /// The account that put the entry, by its name.
        public var account: String?
        /// The signer that verified it, by its name.
        public var signer: String?
        public var kind: EntryKind?
        /// Only entries whose metadata says that their time is over: see `ExpiryDate`.
        public var isExpired: Bool

        public init(
            keyPrefix: String? = nil, account: String? = nil, signer: String? = nil, kind: EntryKind? = nil,
            isExpired: Bool = false
        ) {
            (self.keyPrefix, self.account, self.signer) = (keyPrefix, account, signer)
            (self.kind, self.isExpired) = (kind, isExpired)
        }
    }

    /// What matches stays as long as one of these holds.
    public struct Keeps: Sendable, Equatable {
        public var sinceUpload: RetentionPeriod?
        public var sinceUse: RetentionPeriod?
        public var newest: Newest?
        /// Of what no other keep holds, the least recently used goes first, until all that the policy matches has so
        /// many bytes at most.
        public var bytes: Int?

        public init(
            sinceUpload: RetentionPeriod? = nil, sinceUse: RetentionPeriod? = nil, newest: Newest? = nil,
            bytes: Int? = nil
        ) {
            (self.sinceUpload, self.sinceUse, self.newest, self.bytes) = (sinceUpload, sinceUse, newest, bytes)
        }

        public var isEmpty: Bool { self == Keeps() }
        /// Whether the record of downloads and lookups has to be complete.
        var needUse: Bool { sinceUse != nil || bytes != nil }
    }

    /// The last `count` entries of each group.
    public struct Newest: Sendable, Equatable {
        public var count: Int
        public var group: Group

        public init(count: Int, group: Group) { (self.count, self.group) = (count, group) }

        public enum Group: String, Sendable, CaseIterable, Codable {
            case key
            /// By `software_url`, `multiarch` and `os`. What has no `software_url` is of no release, and stays.
            case softwareRelease = "software-release"
        }
    }
}

/// What deployed clients use a key for, by its form.
public enum EntryKind: String, Sendable, CaseIterable, Codable {
    /// A source archive by the MD5 of its URL: `file-urlmd5:…`, or `pypi-buildout-…` and `slapos-buildout-…` of older
    /// buildouts.
    case download
    /// A Python distribution: `pypi:NAME=VERSION`.
    case pypi
    /// A compiled software release: 32 hexadecimal digits, and a `software_url` in the metadata.
    case binary

    /// Of a row of shacache.entry.
    var condition: String {
        // Regular expressions take several times as long as all else that a plan reads an entry for.
        switch self {
        case .download:
            """
            (starts_with(entry.key, 'file-urlmd5:')
                OR starts_with(entry.key, 'pypi-buildout-') AND substr(entry.key, 15) ~ '^[0-9a-f]{32}$'
                OR starts_with(entry.key, 'slapos-buildout-') AND substr(entry.key, 17) ~ '^[0-9a-f]{32}$')
            """
        case .pypi: "starts_with(entry.key, 'pypi:')"
        case .binary:
            "(entry.software_url IS NOT NULL AND octet_length(entry.key) = 32 AND entry.key !~ '[^0-9a-f]')"
        }
    }
}

/// Why policies are not obeyed: nothing is planned, and nothing removed.
public struct RetentionError: Error, CustomStringConvertible, Equatable {
    /// What it is about; nil: all of them.
    public let policy: RetentionPolicy?
    public let reason: String

    public init(_ policy: RetentionPolicy? = nil, _ reason: String) { (self.policy, self.reason) = (policy, reason) }

    public var description: String {
        guard let policy else { return reason }
        let place = policy.line.map { "line \($0): " } ?? ""
        return "\(place)the retention policy \(policy.name): \(reason)"
    }
}
