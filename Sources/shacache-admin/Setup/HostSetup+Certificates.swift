import Configuration
import Foundation
import OpenSSL
import Storage
import System

/// A server's certificate and key, as the files of an operator have them.
struct ServerPair {
    /// In PEM, with those behind it that clients need.
    let certificate: [UInt8]
    let key: [UInt8]

    /// - Throws: `SetupProblem` when nginx would not take it, or clients would not for that host.
    func check(for host: String) throws {
        let own = try Certificate(pem: certificate)
        guard try PrivateKey(pem: key).publicKey().der() == own.publicKey().der() else {
            throw SetupProblem("the key is not the certificate's", "name the two that belong together")
        }
        guard own.isFor(host: host) else {
            throw SetupProblem("the certificate is not for \(host)", "name one that is: --certificate and --key")
        }
        guard own.notAfter > Int(Date.now.timeIntervalSince1970) else {
            throw SetupProblem(
                "the certificate expired at \(Timestamp(own.notAfter))", "name its successor: --certificate and --key")
        }
    }
}

extension HostSetup {
    private static let certificate = "\(tls)/server.crt"
    private static let key = "\(tls)/server.key"
    private static let clientsAuthorities = "\(tls)/clients-ca.crt"
    /// The most that browsers and curl on macOS accept.
    private static let serverDays = 397

    var certificateSteps: [SetupStep] {
        givenSteps + [
            SetupStep("authority") {
                try configuration.createAuthority(name: "\(configuration.site.name) CA", days: 3650)
            } check: {
                let files = try configuration.authorityFiles()
                _ = try contents(of: files.certificate)
                return try files.check() ?? "\(files.certificate) can issue clients' certificates"
            },
            SetupStep("authorities that nginx trusts") {
                let ours = try contents(of: configuration.authorityFiles().certificate)
                let others = (try? contentsOfFile(Self.clientsAuthorities)) ?? []
                try replace(Self.clientsAuthorities, with: ours + others)
            } check: {
                let ours = try Certificate(pem: contents(of: configuration.authorityFiles().certificate)).der()
                let trusted = try Certificate.list(pem: contents(of: Self.clientsAuthorities))
                guard try trusted.contains(where: { try $0.der() == ours }) else {
                    throw SetupProblem(
                        "\(Self.clientsAuthorities): has not our authority", "shacache-setup adds it")
                }
                return "\(trusted.count), ours among them"
            },
            SetupStep("server's certificate", bringAbout: makeServerCertificate) {
                let pair = try ServerPair(certificate: contents(of: Self.certificate), key: contents(of: Self.key))
                try pair.check(for: host)
                if let given = wishes?.pair, given.certificate != pair.certificate {
                    throw SetupProblem("another one is given", "shacache-setup puts it in place")
                }
                return "for \(host), until \(Timestamp(try Certificate(pem: pair.certificate).notAfter))"
            },
        ]
    }

    private var givenSteps: [SetupStep] {
        guard let pair = wishes?.pair else { return [] }
        return [
            SetupStep("given certificate") {
                try pair.check(for: host)
                if let authority = wishes?.authority { _ = try Certificate.list(pem: authority) }
                return "belongs to its key, and is for \(host)"
            }
        ]
    }

    /// The one that is given, or one of our own authority.
    private func makeServerCertificate() throws {
        let pair: ServerPair
        if let given = wishes?.pair {
            pair = given
            if let authority = wishes?.authority { try replace(Self.serverAuthority, with: authority) }
        } else {
            let key = try PrivateKey.generate()
            let made = try configuration.authority().issueForServer(host: host, key: key, days: Self.serverDays)
            pair = ServerPair(certificate: Array(try made.pem().utf8), key: Array(try key.pem().utf8))
        }
        try replace(Self.key, with: pair.key, mode: 0o600)
        try replace(Self.certificate, with: pair.certificate)
        // Where it runs with the one before, it reads the files only then.
        try Program(["systemctl", "try-reload-or-restart", "nginx.service"]).run()
    }
}
