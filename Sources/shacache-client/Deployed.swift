import ArgumentParser
import Client
import Glibc
import OpenSSL
import ShaCache
import System

/// What the deployed clients' scripts have in common: nothing is said but on failure, and then the exit code is 1.
protocol DeployedCommand: ParsableCommand {
    /// Its long options, which may be abbreviated.
    static var longOptions: [String] { get }
    /// Its short options without a value, but for -h.
    static var shortFlags: Set<Character> { get }

    func carryOut() throws
}

extension DeployedCommand {
    func run() throws {
        do {
            try Hash.Algorithm.requireSHA2()
            try carryOut()
        } catch let ended as ExitError {
            throw ended
        } catch {
            quietTerminal.error("\(error)")
            throw ExitError(status: .misuse)
        }
    }

    static var shortFlags: Set<Character> { [] }

    /// As Python's argparse does: the beginning of an option that no other has, and several short options in one word.
    static func expandingAbbreviations(_ arguments: [String]) -> [String] {
        let end = arguments.firstIndex(of: "--") ?? arguments.endIndex
        return arguments[..<end].flatMap(separatingFlags).map { argument in
            guard argument.hasPrefix("--") else { return argument }
            let name = argument.dropFirst(2).prefix { $0 != "=" }
            let matches = longOptions.filter { $0.hasPrefix(name) }
            guard matches.count == 1 else { return argument }
            return "--\(matches[0])\(argument.dropFirst(2 + name.count))"
        } + arguments[end...]
    }

    /// `-lkKEY` is `-l -kKEY`.
    private static func separatingFlags(_ argument: String) -> [String] {
        var flags: [String] = []
        var rest = argument.dropFirst()
        guard argument.hasPrefix("-"), !argument.hasPrefix("--") else { return [argument] }
        while rest.count > 1, let first = rest.first, shortFlags.contains(first) {
            flags.append("-\(first)")
            rest.removeFirst()
        }
        return flags + ["-\(rest)"]
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

    @Option(
        help: ArgumentHelp(
            "As before 0.26: the identifier is PREFIX_KEY, md5(URL) and SUFFIX_KEY.", valueName: "prefix_key"))
    var prefixKey: String?

    @Option(help: ArgumentHelp("See --prefix-key.", valueName: "suffix_key"))
    var suffixKey: String?

    func validate() throws {
        try requireText(key, url)
        guard config.withFileName({ access($0, R_OK) }) == 0 else { throw ValidationError("can't open '\(config)'") }
        guard key == nil || url == nil else {
            throw ValidationError("argument -k/--key: not allowed with argument -u/--url")
        }
        guard prefixKey == nil && suffixKey == nil || url != nil else {
            throw ValidationError("arguments --prefix-key and --suffix-key: only allowed with argument -u/--url")
        }
    }

    /// The key as a server reads what the deployed client sends, which escapes nothing and ends at `?` and `#`.
    func identifier() throws -> Key? {
        guard let key = try key ?? earlierKey() else { return try url.map { try Key.source(url: $0) } }
        return try Key(percentEncoded: Array(key.prefix { $0 != "?" && $0 != "#" }.utf8))
    }

    /// As the scripts up to 0.25 made it of a URL; nil when nothing asks for that.
    private func earlierKey() throws -> String? {
        guard let url, prefixKey != nil || suffixKey != nil else { return nil }
        return "\(prefixKey ?? "")\(try Key.softwareRelease(url: url).text)\(suffixKey ?? "")"
    }

    /// The scripts ask the cache without a proxy, whatever the environment says.
    func settings() throws -> Cache.Settings {
        Cache.Settings(
            try NodeConfiguration(file: config), for: .sources, retries: 4,
            timeout: try environmentTimeout() ?? patientTimeout, usesProxies: false, reporter: quietTerminal.reporter)
    }

    /// - Throws: `UsageError` when the signing key's certificate is in no list, as the deployed client does.
    func signature(_ settings: Cache.Settings) throws -> Signature {
        let signature = try Signature(settings.configuration, reporter: quietTerminal.reporter)
        guard settings.configuration[.downloadDirectoryURL] != nil, !signature.isTrustedHere else { return signature }
        throw UsageError(
            "Invalid configuration: no matching certificate for private key (continuing would cause duplicate uploads because it would never manage to download these uploads)"
        )
    }
}
