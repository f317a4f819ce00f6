/// The caches of a configuration, in the order in which they are asked: the download cache, which is near, then its fallbacks.
public struct CacheSequence {
    /// Each with the URL of its directory, without a password.
    private let caches: [(url: String, downloader: Downloader)]
    private let reporter: Reporter

    /// - Parameter settings: of a cache with such URLs; whether another one is asked next.
    /// - Throws: `UsageError` when the configuration's lists of fallbacks don't fit.
    public init(
        _ configuration: NodeConfiguration,
        settings: (NodeConfiguration, _ isFollowed: Bool) throws -> Cache.Settings,
        reporter: Reporter
    ) throws {
        let certificates = configuration.trustedCertificates(reporter: reporter)
        let configurations = [configuration] + (try configuration.fallbacks())
        caches = try configurations.enumerated().map { index, configuration in
            let cache = Cache(try settings(configuration, index + 1 < configurations.count))
            let url = configuration.endpoint(.download, .directory, for: cache.use)?.shownURL ?? ""
            return (url, Downloader(cache, trusting: certificates, reporter: reporter))
        }
        self.reporter = reporter
    }

    /// Calls `body` with one after the other, until one gives what is looked for.
    ///
    /// - Throws: what the last one threw; of several failures of caches, one that says more than that it isn't there.
    public func first<Result>(_ body: (Downloader) throws -> Result) throws -> Result {
        var failures: [CacheFailure] = []
        for (index, cache) in caches.enumerated() {
            do {
                return try body(cache.downloader)
            } catch let failure as CacheFailure {
                failures.append(failure)
                guard index + 1 < caches.count else { break }
                let line = "\(failure); asks \(caches[index + 1].url)"
                if case .missing = failure { reporter.note(line) } else { reporter.warn(line) }
            }
        }
        throw failures.first { if case .missing = $0 { false } else { true } } ?? failures.last!
    }
}
