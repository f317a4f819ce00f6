import ArgumentParser
import Client
import ShaCache

struct WithdrawCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "withdraw",
        abstract: "Hide what you uploaded: a key's entries, or a blob.",
        discussion: """
            Your account needs the right to. Of a key, only your own entries are hidden; a blob, unless somebody else \
            has uploaded it too, or lists it. From then on your account can't upload the same, but others can, which \
            shows it again; an operator hides anybody's, and for all. Nothing is erased: the operator can show it \
            again. Whoever has downloaded it keeps it.

              shacache withdraw --pypi six==1.16.0 --reason "built with the wrong compiler"
              shacache withdraw --key build:42 --sha512 HASH --reason "superseded"
              shacache withdraw --key build:42 --entry HASH --reason "names the wrong system"
              shacache withdraw --blob HASH --reason "holds a password"

            Exit codes: 0 withdrawn, 1 misuse, 2 refused, 3 there is nothing of yours to withdraw, 5 the cache can't \
            be reached. A withdrawal that is tried again after its answer was lost finds nothing: 3.
            """)

    @OptionGroup var key: KeyOptions
    @OptionGroup var release: ReleaseOption
    @Option(
        help: ArgumentHelp("Only entries that name this blob.", valueName: "hash"),
        transform: { try digest($0, of: "--sha512") })
    var sha512: Digest?
    @Option(
        help: ArgumentHelp("Only this entry: `lookup --json` shows what it is called.", valueName: "hash"),
        transform: entryName)
    var entry: String?
    @Option(
        help: ArgumentHelp("The blob itself, by its SHA-512.", valueName: "hash"),
        transform: { try digest($0, of: "--blob") })
    var blob: Digest?
    @Option(help: "Why, for the operator and for the record.")
    var reason: String
    @OptionGroup var options: ClientOptions

    func validate() throws {
        guard key.count + release.count + (blob == nil ? 0 : 1) == 1 else {
            throw ValidationError("give one of --key, --url, --pypi, --software-release and --blob")
        }
        guard blob == nil || sha512 == nil && entry == nil else {
            throw ValidationError("--sha512 and --entry go with a key")
        }
        try requireText(reason)
        guard !reason.isEmpty else { throw ValidationError("--reason must say why") }
    }

    func run() throws {
        try options.perform { job in
            let cache = Cache(try job.settings(for: release.use, defaultTimeout: patientTimeout))
            if let blob {
                try cache.withdraw(blob, reason: reason)
                job.terminal.result("blob \(blob): withdrawn; \(Self.lasting)")
                return try job.output(blob.description, ["sha512": JSON(blob.description)])
            }
            let key = try release.chosen() ?? key.required()
            try cache.withdraw(key, naming: sha512, pair: entry, reason: reason)
            let which = entry.map { "entry \($0)" } ?? sha512.map { "entries that name \($0)" } ?? "entries"
            job.terminal.result("\(key.text): \(which) withdrawn; \(Self.lasting)")
            try job.output(key.text, ["key": JSON(key.text), "sha512": sha512.map { JSON($0.description) } ?? .null])
        }
    }

    /// How long it lasts.
    private static let lasting = "another account that uploads the same shows it again, unless yours is an operator's"

    private static func entryName(_ text: String) throws -> String {
        guard text.utf8.count == 64, text.allSatisfy(\.isHexDigit) else {
            throw ValidationError("--entry takes 64 hexadecimal digits")
        }
        return text.lowercased()
    }

    private static func digest(_ text: String, of option: String) throws -> Digest {
        guard let digest = Digest(text) else { throw ValidationError("\(option) takes 128 hexadecimal digits") }
        return digest
    }
}
