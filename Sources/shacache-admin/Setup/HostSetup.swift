import Configuration
import Foundation
import OpenSSL
import Storage
import System

/// This machine as the host of a cache: where its parts are, and the steps to it.
struct HostSetup {
    let configurationFile: String
    /// Nil: nothing is to be changed.
    let wishes: SetupWishes?
    let options: AdminOptions
    /// As it is, or as it will be.
    let configuration: Configuration
    /// By which clients reach it.
    let host: String

    static let share = "/usr/share/shacache"
    static let tls = "/etc/shacache/tls"

    /// - Throws: when the configuration has not what is needed, or something else than what is wished for.
    init(configurationFile: String, wishes: SetupWishes?, options: AdminOptions) throws {
        (self.configurationFile, self.wishes, self.options) = (configurationFile, wishes, options)
        let isThere = FileManager.default.fileExists(atPath: configurationFile)
        guard isThere || wishes != nil else {
            throw SetupProblem("there is no \(configurationFile)", "run shacache-setup, which makes it")
        }
        configuration =
            try isThere ? Configuration(file: configurationFile) : Configuration(draft: Self.draft(wishes!))
        guard let url = configuration.site.downloadURL, configuration.site.uploadURL != nil,
            let host = url.wholeMatch(of: /https?:\/\/([^\/:]+|\[[^\/]+\]).*/)?.1
        else {
            throw SetupProblem(
                "\(configurationFile): [site] has no download-url or no upload-url", "say there how clients reach it")
        }
        self.host = String(host)
        if isThere, let wishes { try refuseOthers(wishes) }
    }

    /// What the file has is an operator's by now.
    private func refuseOthers(_ wishes: SetupWishes) throws {
        let same = [
            ("--name", wishes.name, configuration.site.name), ("--url", wishes.host, host),
            ("--database", wishes.database, configuration.database.connection),
        ]
        for (option, wish, there) in same where wish != nil && wish != there {
            throw SetupProblem("\(option): \(configurationFile) has \(there)", "change it there")
        }
        guard wishes.pair != nil else { return }
        let authority = wishes.authority.map { _ in Self.serverAuthority }
        guard authority == configuration.site.authority else {
            throw SetupProblem(
                "--certificate: by [site] in \(configurationFile), clients know the server by another authority",
                authority.map { "set authority = \"\($0)\" there" } ?? "remove authority there, or give --authority")
        }
    }

    var steps: SetupSteps {
        SetupSteps(
            all: systemSteps + [configurationStep] + databaseSteps + certificateSteps + [nginxStep] + unitSteps
                + [readinessStep] + (wishes == nil ? [] : [roundTripStep]))
    }

    // MARK: The configuration

    private var configurationStep: SetupStep {
        SetupStep("configuration") {
            let text = Array(try Self.draft(wishes!).utf8)
            try write([NewFile(contents: text, path: configurationFile, mode: 0o644)])
        } check: {
            guard FileManager.default.fileExists(atPath: configurationFile) else {
                throw SetupProblem("there is no \(configurationFile)", "run shacache-setup, which makes it")
            }
            return "\(configurationFile) is right"
        }
    }

    /// The packaged file, with what it is to be.
    private static func draft(_ wishes: SetupWishes) throws -> String {
        let template = "\(share)/shacache.toml"
        var text = String(decoding: try contents(of: template), as: UTF8.self)
        var site = [
            ("#name = \"ShaCache\"", "name = \(toml(wishes.name!))"),
            ("# download-url = \"http://cache.example.org\"", "download-url = \(toml("http://\(wishes.host!)"))"),
            ("# upload-url = \"https://cache.example.org\"", "upload-url = \(toml("https://\(wishes.host!)"))"),
            ("connection = \(toml(Configuration.localDatabase))", "connection = \(toml(wishes.database!))"),
        ]
        if wishes.pair == nil || wishes.authority != nil {
            site[2].1 += "\nauthority = \(toml(wishes.authority == nil ? clientsAuthority : serverAuthority))"
        }
        for (line, filled) in site {
            guard let place = text.firstRange(of: "\n\(line)\n") else {
                throw SetupProblem("\(template): has no line \(line)", "install the package again")
            }
            text.replaceSubrange(place, with: "\n\(filled)\n")
        }
        return text
    }

    private static func toml(_ text: String) -> String {
        "\"\(text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\""
    }

    /// Where `ca create` puts it by default, and where that of a given certificate goes.
    private static let clientsAuthority = "/etc/shacache/ca.crt"
    static let serverAuthority = "\(tls)/server-ca.crt"
}

extension Configuration {
    static let localDatabase = "host=/run/postgresql dbname=shacache"

    /// One that is in no file yet.
    fileprivate init(draft text: String) throws {
        let file = NSTemporaryDirectory() + "/shacache-\(UUID().uuidString).toml"
        try write([NewFile(contents: Array(text.utf8), path: file, mode: 0o600)])
        defer { unlink(file) }
        do { try self.init(file: file) } catch { throw CommandError("\(error)".replacing(file, with: "configuration")) }
    }

    /// Whether it is PostgreSQL on this machine.
    var hasLocalDatabase: Bool { database.connection.contains("host=/") }
}
