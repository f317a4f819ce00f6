import Configuration

/// Where clients reach this server: as configured, or else as the visitor did.
struct SiteAddress {
    /// Where nodes download, without a slash at the end. Over plain HTTP, unless configured otherwise: the deployed
    /// clients fail over HTTPS without a certificate.
    let downloads: String
    /// Where builders upload, and operators look.
    let uploads: String

    init(_ site: Configuration.Site, _ request: PageRequest) {
        // What a visitor calls us comes back in commands to copy.
        let isPlain =
            request.host.wholeMatch(of: /[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?/) != nil
        let host = isPlain ? request.host : "cache.example.org"
        downloads = site.downloadURL ?? "http://\(request.isSecure ? Self.withoutPort(host) : host)"
        uploads = site.uploadURL ?? "https://\(request.isSecure ? host : Self.withoutPort(host))"
    }

    /// The other protocol has another port, which only the operator knows.
    private static func withoutPort(_ host: String) -> String { host.replacing(/:[0-9]+$/, with: "") }
}
