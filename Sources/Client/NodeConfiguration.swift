import System

/// A node's options for network caches in `slapos.cfg`: the section `[networkcache]`, and what `[slapos]` has instead.
public struct NodeConfiguration: Sendable {
    /// The options, by the names that the deployed clients read.
    public enum ConfigurationOption: String, CaseIterable, Sendable {
        case downloadCacheURL = "download-cache-url"
        case downloadDirectoryURL = "download-dir-url"
        case fallbackCacheURLs = "fallback-download-cache-url"
        case fallbackDirectoryURLs = "fallback-download-dir-url"
        case uploadCacheURL = "upload-cache-url"
        case uploadDirectoryURL = "upload-dir-url"
        case downloadBinaryCacheURL = "download-binary-cache-url"
        case downloadBinaryDirectoryURL = "download-binary-dir-url"
        case uploadBinaryCacheURL = "upload-binary-cache-url"
        case uploadBinaryDirectoryURL = "upload-binary-dir-url"
        case signatureKeyFile = "signature-private-key-file"
        case signatureCertificateFile = "signature-certificate-file"
        case signatureCertificates = "signature-certificate-list"
        case cacheAuthorityFile = "shacache-ca-file"
        case cacheCertificateFile = "shacache-cert-file"
        case cacheKeyFile = "shacache-key-file"
        case directoryAuthorityFile = "shadir-ca-file"
        case directoryCertificateFile = "shadir-cert-file"
        case directoryKeyFile = "shadir-key-file"
        case uploadBlacklist = "upload-to-binary-cache-url-blacklist"
        case downloadBlacklist = "download-from-binary-cache-url-blacklist"
        case binaryBlacklist = "binary-cache-url-blacklist"
        case forcedList = "download-from-binary-cache-force-url-list"
        case softwareRoot = "software_root"
        case computer = "computer_id"
    }

    /// A value, and where it was set.
    public struct ConfiguredValue: Sendable {
        public let value: String
        /// `/etc/opt/slapos/slapos.cfg:12`, or `--option`.
        public let source: String
    }

    /// The file that was read; nil when there is none.
    public let file: String?
    /// Where that is, or would be.
    let path: String
    private var settings: [ConfigurationOption: ConfiguredValue]
    /// What in the file will surprise its reader.
    public let warnings: [String]

    public static let defaultFile = "/etc/opt/slapos/slapos.cfg"

    /// - Parameters:
    ///   - file: must be there. nil reads `/etc/opt/slapos/slapos.cfg` if there is one.
    ///   - overrides: `NAME=VALUE`, which count before the file.
    ///   - mayBeMissing: whether a file that is named need not be there either.
    public init(file: String?, overrides: [String] = [], mayBeMissing: Bool = false) throws {
        let path = file ?? Self.defaultFile
        self.path = path
        let isThere = file != nil && !mayBeMissing || exists(path)
        self.file = isThere ? path : nil
        let read = isThere ? try Self.open(path) : nil
        settings = read.map { Self.settings($0, path) } ?? [:]
        warnings = read.map { Self.warnings($0, path) } ?? []
        for override in overrides { try apply(override) }
    }

    /// Without a file: of a cache that is only read from, at these URLs.
    public init(readingBlobsFrom cache: String, entriesFrom directory: String) {
        file = nil
        path = Self.defaultFile
        warnings = []
        settings = [
            .downloadCacheURL: ConfiguredValue(value: cache, source: ""),
            .downloadDirectoryURL: ConfiguredValue(value: directory, source: ""),
        ]
    }

    /// The caches that are asked when the download cache doesn't give what is looked for, in their order: each is a
    /// configuration like this one, with its URLs in the place of the download cache's.
    ///
    /// - Throws: `UsageError` when they aren't pairs.
    public func fallbacks() throws -> [NodeConfiguration] {
        let (caches, directories) = (prefixes(.fallbackCacheURLs), prefixes(.fallbackDirectoryURLs))
        guard caches.count == directories.count else {
            let options = CacheService.allCases.map { Self.fallbackOption($0).rawValue }
            throw UsageError(
                "\(options[0]) has \(counted(caches.count, "URL")), and \(options[1]) \(directories.count)",
                hint: "name both URLs of each cache, one a line, in the same order")
        }
        return zip(caches, directories).map { cache, directory in
            var fallback = self
            fallback.set(.downloadCacheURL, cache, from: .fallbackCacheURLs)
            fallback.set(.downloadDirectoryURL, directory, from: .fallbackDirectoryURLs)
            return fallback
        }
    }

    private mutating func set(_ option: ConfigurationOption, _ value: String, from other: ConfigurationOption) {
        settings[option] = ConfiguredValue(value: value, source: settings[other]?.source ?? "")
    }

    public subscript(option: ConfigurationOption) -> String? {
        guard let value = settings[option]?.value, !value.isEmpty else { return nil }
        return value
    }

    public func setting(_ option: ConfigurationOption) -> ConfiguredValue? { settings[option] }

    private static func open(_ path: String) throws -> OptionFile {
        let text: [UInt8]
        do {
            text = try contentsOfFile(path)
        } catch {
            throw UsageError("\(error)", hint: "name another configuration with --config or in SHACACHE_CONFIG")
        }
        // Names of files in it may be no UTF-8.
        return OptionFile(String(fileName: text))
    }

    private static func warnings(_ file: OptionFile, _ path: String) -> [String] {
        let isEmpty = ["networkcache", "slapos"].allSatisfy { !file.has(section: $0) }
        let duplicates = file.duplicates["networkcache", default: []].map { name, line in
            "\(path):\(line): \(name) stands there a second time, and only this one counts; slapgrid refuses such a file"
        }
        return (isEmpty ? ["\(path): has no section [networkcache]"] : []) + duplicates
    }

    private static func settings(_ file: OptionFile, _ path: String) -> [ConfigurationOption: ConfiguredValue] {
        var settings: [ConfigurationOption: ConfiguredValue] = [:]
        for option in ConfigurationOption.allCases {
            // Old files have underscores. slapgrid takes each option from either section.
            let spellings = [option.rawValue, option.rawValue.replacing("-", with: "_")]
            let found = ["networkcache", "slapos"].lazy.flatMap { section in
                spellings.lazy.compactMap { file.option($0, in: section) }
            }
            guard let first = found.first(where: { !$0.value.isEmpty }) ?? found.first else { continue }
            settings[option] = ConfiguredValue(value: first.value, source: "\(path):\(first.line)")
        }
        return settings
    }

    private mutating func apply(_ override: String) throws {
        guard let equals = override.firstIndex(of: "=") else {
            throw UsageError("--option \(override): there is no = in it", hint: "write --option NAME=VALUE")
        }
        let name = override[..<equals].replacing("_", with: "-")
        guard let option = ConfigurationOption.allCases.first(where: { $0.rawValue.replacing("_", with: "-") == name })
        else {
            throw UsageError(
                "--option \(override): there is no option \(override[..<equals])",
                hint: "shacache config lists the options")
        }
        settings[option] = ConfiguredValue(
            value: String(override[override.index(after: equals)...]), source: "--option")
    }
}
