import Foundation
import Glibc
import Storage
import System

extension HostSetup {
    private static let mainFile = "/etc/nginx/nginx.conf"
    private static let siteFile = "/etc/nginx/conf.d/shacache.conf"
    /// Debian's example, which takes all requests that name no site.
    private static let example = "/etc/nginx/sites-enabled/default"

    var nginxStep: SetupStep {
        SetupStep("nginx", bringAbout: putSiteInPlace) {
            let main = try NginxMain(String(decoding: contents(of: Self.mainFile), as: UTF8.self))
            guard main.user == "shacache" else {
                throw SetupProblem(
                    "\(Self.mainFile): its user is \(main.user ?? "not set"), not shacache", "shacache-setup sets it")
            }
            guard FileManager.default.fileExists(atPath: Self.siteFile) else {
                throw SetupProblem("\(Self.siteFile): there is no site", "shacache-setup fills it in")
            }
            guard try Program(["nginx", "-t", "-q"]).quietText() != nil else {
                throw SetupProblem("it refuses its configuration", "nginx -t says where")
            }
            guard try Program(["systemctl", "is-active", "--quiet", "nginx.service"]).quietText() != nil else {
                throw SetupProblem("it doesn't run", "systemctl restart nginx, and journalctl -u nginx says why")
            }
            return "runs with \(Self.siteFile)"
        }
    }

    /// The site, and what it needs of the main file: both, or, when nginx refuses them, neither.
    private func putSiteInPlace() throws {
        let old = String(decoding: try contents(of: Self.mainFile), as: UTF8.self)
        let site = (try? contentsOfFile(Self.siteFile)).map { String(decoding: $0, as: UTF8.self) }
        let main = NginxMain(old)
        do {
            if main.user != "shacache" { try replace(Self.mainFile, with: main.forShaCache.utf8) }
            if site == nil { try replace(Self.siteFile, with: filledSite().utf8) }
            try Program(["nginx", "-t", "-q"]).run()
        } catch {
            try replace(Self.mainFile, with: old.utf8)
            if site == nil { unlink(Self.siteFile) }
            throw SetupProblem("\(error), so nothing of it was changed", "mend what is said above, then run this again")
        }
        if (try? FileManager.default.destinationOfSymbolicLink(atPath: Self.example)) != nil { unlink(Self.example) }
        try Program(["systemctl", "enable", "--quiet", "nginx.service"]).run()
        try Program(["systemctl", "reload-or-restart", "nginx.service"]).run()
    }

    private func filledSite() throws -> String {
        let hasIPv6 = FileManager.default.fileExists(atPath: "/proc/net/if_inet6")
        let values = [
            "STORE": configuration.store.directory, "HOST": nodeName, "RUN": "/run/shacache", "TLS": Self.tls,
            "LOG": "/var/log/shacache", "HTTP_PORT": "80", "LOCAL_WRITERS": "",
            "LISTEN_HTTP": hasIPv6 ? "listen 80; listen [::]:80;" : "listen 80;",
            "LISTEN_HTTPS": hasIPv6 ? "listen 443 ssl; listen [::]:443 ssl;" : "listen 443 ssl;",
            "BLOB_ACCESS": "include shacache/accelerated.conf;",
        ]
        let template = String(decoding: try contents(of: "\(Self.share)/site.conf.in"), as: UTF8.self)
        return values.reduce(template) { $0.replacing("@\($1.key)@", with: $1.value) }
    }
}

/// nginx.conf, as Debian has it and operators change it: a directive on each line.
private struct NginxMain {
    private let lines: [Substring]

    init(_ text: String) { lines = text.split(separator: "\n", omittingEmptySubsequences: false) }

    var user: String? {
        lines.lazy.compactMap { $0.wholeMatch(of: /\s*user\s+([^\s;]+).*/)?.1 }.first.map(String.init)
    }

    /// While a large body arrives faster than the disk takes it, nginx reads on, and all other connections of that process
    /// wait: so there are more processes than builders that upload at once. Idle connections, which no limit counts, soon
    /// take Debian's 768 of each process. Every request is matched with some twenty patterns: compiled, they cost a sixth
    /// less of nginx's time on a small download.
    private static let wanted = [
        ("user", "shacache"), ("worker_processes", "32"), ("pcre_jit", "on"), ("worker_rlimit_nofile", "16384"),
        ("worker_connections", "4096"),
    ]

    /// Lines that are there are changed, and what isn't is put in front. Only the block `events` has connections.
    var forShaCache: String {
        var lines = lines.map(String.init)
        for (name, value) in Self.wanted.reversed() {
            let directive = "\(name) \(value);"
            if let place = lines.firstIndex(where: { Self.directive(of: $0) == name }) {
                let indentation = lines[place].prefix { $0 == " " || $0 == "\t" }
                lines[place] = indentation + directive
            } else if name != "worker_connections" {
                lines.insert(directive, at: 0)
            }
        }
        return lines.joined(separator: "\n")
    }

    private static func directive(of line: String) -> String? {
        line.wholeMatch(of: /\s*([a-z_]+)\s+[^;{}#]*;\s*(#.*)?/).map { String($0.1) }
    }
}
