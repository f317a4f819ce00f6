import Foundation
import OpenSSL
import ShaCache
import Storage
import System

extension HostSetup {
    /// The account of the round trip, which is enabled for as long as that takes.
    private static let account = "setup"
    private static let content = Array("This is the round trip of shacache-setup.\n".utf8)

    /// What a client does, along its way: an upload with a certificate, and a download without.
    var roundTripStep: SetupStep {
        // It brings nothing about, but needs all that is before it.
        SetupStep("round trip") {
        } check: {
            let session = Session(configuration.adminDatabase)
            let accounts = Accounts(session)
            if try accounts.table(named: Self.account).rows.isEmpty {
                try accounts.add(Self.account, comment: "round trips of shacache-setup", by: options.actor)
            }
            try accounts.setEnabled(true, Self.account, by: options.actor)
            defer { try? accounts.setEnabled(false, Self.account, by: options.actor) }
            let key = try PrivateKey.generate()
            let certificate = try configuration.authority().issue(commonName: Self.account, key: key, days: 1)
            let certificates = Certificates(session)
            try certificates.add(certificate, of: Self.account, origin: .issued, by: options.actor)
            defer { _ = try? certificates.revoke(hex(certificate.fingerprint()), by: options.actor) }
            let digest = try upload(certificate, key)
            try download(digest)
            return "uploaded \(Self.content.count) bytes with a certificate, and downloaded them: the same"
        }
    }

    private func upload(_ certificate: Certificate, _ key: PrivateKey) throws -> String {
        let directory = NSTemporaryDirectory() + "/shacache-\(UUID().uuidString)"
        try makePrivateDirectory(directory)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try write([
            NewFile(certificate, at: "\(directory)/crt"), NewFile(key, at: "\(directory)/key"),
            NewFile(contents: Self.content, path: "\(directory)/content", mode: 0o600),
        ])
        let trust = configuration.site.authority.map { ["--cacert", $0] } ?? []
        let credentials = ["--cert", "\(directory)/crt", "--key", "\(directory)/key"]
        let answer = try curl(
            trust + credentials + ["--data-binary", "@\(directory)/content", "https://\(host)/shacache"])
        let expected = hex(Hash.digest(.sha512, of: Self.content))
        guard answer == expected else {
            throw SetupProblem("the upload was answered by \(answer)", "journalctl -u 'shacached@*' says why")
        }
        return answer
    }

    private func download(_ digest: String) throws {
        let answer = try curl(["http://\(host)/shacache/\(digest)"])
        guard answer + "\n" == String(decoding: Self.content, as: UTF8.self) else {
            throw SetupProblem("other bytes came back", "shacache-admin check says what is damaged")
        }
    }

    /// Asks this machine, wherever the name leads to by now.
    private func curl(_ words: [String]) throws -> String {
        let here = ["--connect-to", "\(host):80:localhost:80", "--connect-to", "\(host):443:localhost:443"]
        return try Program(["curl", "-sS", "--fail-with-body", "--noproxy", "*", "--max-time", "60"] + here + words)
            .text()
    }
}
