import ArgumentParser
import Configuration
import Foundation
import Glibc
import OpenSSL
import System

struct SetupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setup", abstract: "Make a cache of this machine, or say what is wrong with it.",
        discussion: """
            shacache-setup is another name of it. It makes the configuration, database and roles, the authority, the \
            server's certificate, nginx's site, sockets, workers, page and timers, and ends with a round trip: an upload \
            with a client certificate, and the download of it. It says what it did, and does nothing twice: run it again \
            after an error, or to change the server's certificate. Before it changes anything, it looks at all that it \
            can't mend itself. On a terminal it asks for what isn't given.

              shacache-setup --name "Example cache" --url cache.example.org
              shacache-setup --check

            --check changes nothing, and says of each step on a line whether it is right, and what to do. Exit codes: 0 \
            all is right, 1 something isn't, 64 wrong usage.
            """)
    @OptionGroup var options: AdminOptions
    @Flag(help: "Change nothing; say whether all is as it should be.") var check = false
    @Option(help: "The cache's name, for people.") var name: String?
    @Option(help: "The host name by which clients reach it, or a URL with that alone.") var url: String?
    @Option(help: "Where the database is, as libpq has it; left out, PostgreSQL runs on this machine.")
    var database: String?
    @Option(
        help: "The server's certificate in PEM, with what clients need behind it; left out, our authority makes one.",
        completion: .file())
    var certificate: String?
    @Option(help: "Its private key, in PEM.", completion: .file()) var key: String?
    @Option(
        help: "The authority of the server's certificate, in PEM; left out, it is one that every system knows.",
        completion: .file())
    var authority: String?
    @Option(help: "How many workers; by default one for two cores, and 2 or 3.") var workers: Int?

    func validate() throws {
        guard (certificate == nil) == (key == nil) else { throw ValidationError("--certificate goes with --key") }
        guard authority == nil || certificate != nil else {
            throw ValidationError("--authority goes with --certificate")
        }
        guard workers.map({ (1...64).contains($0) }) ?? true else { throw ValidationError("--workers takes 1 to 64") }
        let isWish = name != nil || url != nil || database != nil || certificate != nil || workers != nil
        guard !check || !isWish else { throw ValidationError("--check goes alone") }
        if let url { _ = try Self.host(of: url) }
    }

    func run() throws {
        if check { return try runCheck() }
        let host = try HostSetup(configurationFile: absolute(options.config), wishes: wishes(), options: options)
        // PostgreSQL's user complains about a directory that it can't enter.
        chdir("/")
        try host.steps.bringAbout { step, isNew, detail in
            options.report("\(isNew ? "done" : "ok"): \(step): \(detail)")
        }
        options.report("the cache is ready; /usr/share/doc/shacache/operate.md goes on from here")
    }

    private func runCheck() throws {
        let host = try HostSetup(configurationFile: absolute(options.config), wishes: nil, options: options)
        chdir("/")
        let (table, isRight) = host.steps.checked()
        try options.show(table)
        guard isRight else { throw CommandError("something isn't right: see above") }
    }

    private func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
    }

    // MARK: What is wished for

    private func wishes() throws -> SetupWishes {
        let isThere = FileManager.default.fileExists(atPath: options.config)
        guard isThere || url != nil || isTerminal else {
            throw SetupProblem("--url: is needed", "say by which host name clients reach the cache")
        }
        let pair = try certificate.map { try ServerPair(certificate: contents(of: $0), key: contents(of: key!)) }
        return try SetupWishes(
            name: isThere ? name : name ?? ask("The cache's name, for people", default: "ShaCache"),
            host: try (isThere ? url : url ?? ask("The host name by which clients reach it", default: nodeName))
                .map(Self.host(of:)),
            database: isThere
                ? database
                : database ?? ask("The database, as libpq has it", default: Configuration.localDatabase),
            pair: pair, authority: authority.map(contents(of:)), workers: workers)
    }

    /// On a terminal; a script gets the default.
    private func ask(_ question: String, default answer: String) -> String {
        guard isTerminal else { return answer }
        try? FileHandle.standardError.write(contentsOf: Data("\(question) [\(answer)]: ".utf8))
        let line = readLine()?.trimmingCharacters(in: .whitespaces) ?? ""
        return line.isEmpty ? answer : line
    }

    private var isTerminal: Bool { isatty(STDIN_FILENO) == 1 }

    private static func host(of url: String) throws -> String {
        guard let match = url.wholeMatch(of: /(?:https?:\/\/)?([A-Za-z0-9.-]+)\/?/) else {
            throw ValidationError("--url takes a host name, or http:// or https:// and that: the ports are 80 and 443")
        }
        return String(match.1)
    }
}

/// What a cache is to be; nil: as the configuration has it, or by default.
struct SetupWishes {
    var name: String?
    var host: String?
    var database: String?
    var pair: ServerPair?
    var authority: [UInt8]?
    var workers: Int?
}
