import ArgumentParser
import Client
import Glibc
import OpenSSL
import ShaCache

/// What the deployed clients' scripts have in common: nothing is said but on failure, and then the exit code is 1.
protocol DeployedCommand: ParsableCommand {
    /// Its long options, which may be abbreviated.
    static var longOptions: [String] { get }

    func carryOut() throws
}

extension DeployedCommand {
    func run() throws {
        do {
            try Hash.Algorithm.requireSHA2()
            try carryOut()
        } catch let ended as Ended {
            throw ended
        } catch {
            quietTerminal.error("\(error)")
            throw Ended(status: .misuse)
        }
    }

    /// As Python's argparse does: the beginning of an option that no other has.
    static func expandingAbbreviations(_ arguments: [String]) -> [String] {
        arguments.map { argument in
            guard argument.hasPrefix("--"), argument.count > 2 else { return argument }
            let name = argument.dropFirst(2).prefix { $0 != "=" }
            let matches = longOptions.filter { $0.hasPrefix(name) }
            guard matches.count == 1 else { return argument }
            return "--\(matches[0])\(argument.dropFirst(2 + name.count))"
        }
    }
}

/// They say nothing but on failure.
let quietTerminal = Terminal(.quiet)

/// What both network cache scripts take.
struct DeployedOptions: ParsableArguments {
    @Option(
        name: [.customShort("c", allowingJoined: true), .long],
        help: ArgumentHelp("SlapOS configuration file.", valueName: "config"))
    var config: String

    @Option(
        name: [.customShort("k", allowingJoined: true), .long], help: "The identifier under which the data is indexed.")
    var key: String?

    @Option(
        name: [.customShort("u", allowingJoined: true), .long],
        help: "Its URL; the identifier is 'file-urlmd5:md5(URL)' unless --key is given.")
    var url: String?

    func validate() throws {
        guard access(config, R_OK) == 0 else { throw ValidationError("can't open '\(config)'") }
        guard key == nil || url == nil else {
            throw ValidationError("argument -k/--key: not allowed with argument -u/--url")
        }
    }

    /// The key as a server reads what the deployed client sends, which escapes nothing and ends at `?` and `#`.
    func identifier() throws -> Key? {
        guard let key else { return try url.map { try Key.source(url: $0) } }
        return try Key(percentEncoded: Array(key.prefix { $0 != "?" && $0 != "#" }.utf8))
    }

    func settings() throws -> Cache.Settings {
        Cache.Settings(
            try NodeConfiguration(file: config), for: .sources, retries: 4, reporter: quietTerminal.reporter)
    }

    /// - Throws: `Misuse` when the signing key's certificate is in no list, as the deployed client does.
    func signature(_ settings: Cache.Settings) throws -> Signature {
        let signature = try Signature(settings.configuration, reporter: quietTerminal.reporter)
        guard settings.configuration[.downloadDirectoryURL] != nil, !signature.isTrustedHere else { return signature }
        throw Misuse(
            "Invalid configuration: no matching certificate for private key (continuing would cause duplicate uploads because it would never manage to download these uploads)"
        )
    }
}
