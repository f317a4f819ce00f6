public import HTTP
import ShaCache

/// One of the cache's two services, as one machine reaches it.
public struct Endpoint: Sendable {
    /// Without a slash at its end.
    public let url: String
    public let identity: Identity

    init(url: String, identity: Identity) {
        var url = Substring(url)
        while url.hasSuffix("/") { url.removeLast() }
        self.url = String(url)
        self.identity = identity
    }

    /// For messages: without a password.
    var shownURL: String { withoutCredentials(url) }

    func request(_ method: HTTPMethod, _ name: String? = nil) -> HTTPRequest {
        var request = HTTPRequest(method, name.map { "\(url)/\($0)" } ?? url)
        request.identity = identity
        return request
    }
}

/// What a cache is used for: each use has URLs of its own in the configuration.
public enum Use: Sendable, CaseIterable {
    /// The download cache.
    case sources
    /// The binary cache.
    case binaries
}

public enum CacheService: Sendable, CaseIterable {
    case cache, directory
}

public enum Direction: Sendable, CaseIterable {
    case download, upload
}

extension NodeConfiguration {
    public static func option(_ direction: Direction, _ service: CacheService, for use: Use) -> ConfigurationOption {
        switch (use, direction, service) {
        case (.sources, .download, .cache): .downloadCacheURL
        case (.sources, .download, .directory): .downloadDirectoryURL
        case (.sources, .upload, .cache): .uploadCacheURL
        case (.sources, .upload, .directory): .uploadDirectoryURL
        case (.binaries, .download, .cache): .downloadBinaryCacheURL
        case (.binaries, .download, .directory): .downloadBinaryDirectoryURL
        case (.binaries, .upload, .cache): .uploadBinaryCacheURL
        case (.binaries, .upload, .directory): .uploadBinaryDirectoryURL
        }
    }

    /// Of the caches that are asked behind the download cache.
    static func fallbackOption(_ service: CacheService) -> ConfigurationOption {
        switch service {
        case .cache: .fallbackCacheURLs
        case .directory: .fallbackDirectoryURLs
        }
    }

    /// nil when its URL isn't set.
    public func endpoint(_ direction: Direction, _ service: CacheService, for use: Use) -> Endpoint? {
        self[Self.option(direction, service, for: use)].map { Endpoint(url: $0, identity: identity(service)) }
    }

    /// - Throws: `Unconfigured` when its URL isn't set.
    public func requiredEndpoint(_ direction: Direction, _ service: CacheService, for use: Use) throws -> Endpoint {
        guard let endpoint = endpoint(direction, service, for: use) else {
            let option = Self.option(direction, service, for: use).rawValue
            throw Unconfigured(
                description: "\(option) isn't set",
                hint:
                    "set it in the section [networkcache] of \(file ?? Self.defaultFile), or with --option \(option)=URL"
            )
        }
        return endpoint
    }

    /// How this machine proves itself to a service.
    public func identity(_ service: CacheService) -> Identity {
        switch service {
        case .cache:
            Identity(
                authorityFile: self[.cacheAuthorityFile], certificateFile: self[.cacheCertificateFile],
                keyFile: self[.cacheKeyFile])
        case .directory:
            Identity(
                authorityFile: self[.directoryAuthorityFile], certificateFile: self[.directoryCertificateFile],
                keyFile: self[.directoryKeyFile])
        }
    }

    /// The URL prefixes of a list, one a line.
    public func prefixes(_ option: ConfigurationOption) -> [String] {
        (self[option] ?? "").split(separator: "\n").map(\.trimmed).filter { !$0.isEmpty }
    }

    /// Software releases that are not to be taken from the cache. The old name counts when the new one is empty.
    public var downloadBlacklist: [String] {
        let prefixes = prefixes(.downloadBlacklist)
        return prefixes.isEmpty ? self.prefixes(.binaryBlacklist) : prefixes
    }
}
