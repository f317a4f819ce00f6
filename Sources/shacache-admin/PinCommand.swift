import ArgumentParser
import ShaCache
import Storage

struct PinCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pin", abstract: "What no retention policy removes.",
        subcommands: [PinAdd.self, PinList.self, PinRemove.self])

    struct PinAdd: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Keep something, whatever the policies say.",
            discussion: """
                One of --key, --entry, --blob and --software-release. It need not be there yet. A pinned entry keeps \
                the blob that it names; of a pinned blob, the entries that name it may go. What is withdrawn stays \
                withdrawn.
                """)
        @OptionGroup var options: AdminOptions
        @Option(help: "All entries under this key, as it is, without percent escapes.") var key: String?
        @Option(help: "One entry, by its number, as `entry list` shows it.") var entry: Int?
        @Option(help: "A blob, by its SHA-512: 128 hexadecimal digits.", transform: BlobCommand.digest) var blob:
            Digest?
        @Option(
            help: ArgumentHelp(
                "All entries of a compiled software release, by the URL of its profile (software_url).",
                valueName: "url"))
        var softwareRelease: String?
        @Option(
            help: "Why, in a line: for those who want to remove the pin.",
            transform: reasonOption)
        var reason: Reason

        func validate() throws {
            guard [key != nil, entry != nil, blob != nil, softwareRelease != nil].count(where: { $0 }) == 1 else {
                throw ValidationError("name one of --key, --entry, --blob and --software-release")
            }
            if let entry, entry < 1 { throw ValidationError("--entry takes 1 or more") }
            if softwareRelease == "" { throw ValidationError("--software-release takes a URL") }
        }

        func run() throws {
            let number = try Pins(options.session()).add(try target(), because: reason, by: options.actor)
            options.report("pin \(number) holds")
        }

        private func target() throws -> Pins.Target {
            if let key { return .key(try Key(key)) }
            if let entry { return .entry(entry) }
            if let blob { return .blob(blob) }
            return .softwareRelease(url: softwareRelease!)
        }
    }

    struct PinList: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List the pins that hold.")
        @OptionGroup var options: AdminOptions

        func run() throws {
            let pins = try Pins(options.session()).table()
            try options.show(options.json ? pins : pins.withoutEmptyColumns())
        }
    }

    struct PinRemove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Let the policies decide again.")
        @OptionGroup var options: AdminOptions
        @Argument(help: "As `pin list` shows it.") var number: Int

        func run() throws {
            try Pins(options.session()).remove(number, by: options.actor)
            options.report("pin \(number) is removed")
        }
    }
}
