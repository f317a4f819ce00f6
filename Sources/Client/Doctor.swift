import System

/// Checks a configuration, and each server that it names, for what would make this machine or the nodes fail.
public struct Doctor {
    let configuration: NodeConfiguration
    let certificates: TrustedCertificates
    /// What of the list can't be read.
    let brokenCertificates: [String]
    let timeout: Int
    let tell: (Finding) -> Void

    /// - Parameters:
    ///   - timeout: how long a server is waited for, in seconds.
    ///   - tell: gets each finding as soon as it is known.
    public init(_ configuration: NodeConfiguration, timeout: Int, tell: @escaping (Finding) -> Void) {
        self.configuration = configuration
        self.timeout = timeout
        self.tell = tell
        let warnings = Monitor<[String]>([])
        let reporter = Reporter(
            warn: { warning in warnings.change { $0.append(warning) } }, note: { _ in }, progress: { _ in })
        certificates = configuration.trustedCertificates(reporter: reporter)
        brokenCertificates = warnings.wait { $0 }
    }

    /// - Parameter writes: whether to upload a small blob and an entry for it, always the same: the only way to see
    ///   that uploading works.
    public func examine(writes: Bool) {
        examineFile()
        examineSigning()
        for service in CacheService.allCases { examineIdentity(service) }
        examineSlapgrid()
        let silent = SilentServers()
        for use in Use.allCases { examine(use, silent, writes: writes) }
        examineFallbacks(silent)
    }

    private func examineFile() {
        guard let file = configuration.file else {
            return tell(
                .warning(
                    NodeConfiguration.defaultFile, "isn't there",
                    mend: "name the configuration with --config or in SHACACHE_CONFIG"))
        }
        for warning in configuration.warnings {
            tell(.warning(file, warning, mend: "edit \(file)"))
        }
        if configuration.warnings.isEmpty { tell(.good(file, "read")) }
    }

    private func examineFallbacks(_ silent: SilentServers) {
        do {
            for fallback in try configuration.fallbacks() {
                let visit = EndpointChecks(fallback, .sources, isFallback: true, timeout: timeout, silent, tell: tell)
                visit.examineDownloads()
                visit.examineRanges(isUploaded: false)
            }
        } catch {
            tell(
                .failure(
                    NodeConfiguration.fallbackOption(.cache).rawValue, "\(error)",
                    mend: (error as? any HasHint)?.hint ?? "name both URLs of each cache"))
        }
    }

    private func examine(_ use: Use, _ silent: SilentServers, writes: Bool) {
        let isUsed = Direction.allCases.contains { direction in
            CacheService.allCases.contains { configuration.endpoint(direction, $0, for: use) != nil }
        }
        guard isUsed else {
            let option = NodeConfiguration.option(.download, .cache, for: use).rawValue
            return tell(.good(option, "not set: the \(use == .sources ? "download" : "binary") cache isn't used"))
        }
        for service in CacheService.allCases {
            guard let endpoint = configuration.endpoint(.upload, service, for: use) else { continue }
            examineUploadCertificate(endpoint, NodeConfiguration.option(.upload, service, for: use).rawValue, service)
        }
        let visit = EndpointChecks(configuration, use, timeout: timeout, silent, tell: tell)
        visit.examineDownloads()
        if writes {
            visit.examineRanges(isUploaded: visit.examineUploads(signedWith: try? configuration.signingKey()))
        } else {
            visit.examineUploadURLs(signs: configuration[.signatureKeyFile] != nil)
            visit.examineRanges(isUploaded: false)
        }
    }
}

/// What the doctor found about one thing.
public struct Finding: Sendable {
    public enum Severity: String, Sendable {
        case good = "ok"
        case warning
        case failure = "failed"
    }

    public let severity: Severity
    /// The option, the file or the URL that it is about.
    public let subject: String
    public let text: String
    /// How to mend it; nil when nothing is wrong.
    public let mend: String?

    static func good(_ subject: String, _ text: String) -> Finding {
        Finding(severity: .good, subject: subject, text: text, mend: nil)
    }

    static func warning(_ subject: String, _ text: String, mend: String) -> Finding {
        Finding(severity: .warning, subject: subject, text: text, mend: mend)
    }

    static func failure(_ subject: String, _ text: String, mend: String) -> Finding {
        Finding(severity: .failure, subject: subject, text: text, mend: mend)
    }
}
