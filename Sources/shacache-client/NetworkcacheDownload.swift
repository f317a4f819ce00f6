import ArgumentParser
import Client
import ShaCache

/// `networkcache-download` of slapos.libnetworkcache.
struct NetworkcacheDownload: DeployedCommand {
    static let configuration = CommandConfiguration(
        commandName: "networkcache-download",
        abstract: "Print what the network cache has under a key. See also: shacache download")
    static let longOptions = ["config", "key", "url", "prefix-key", "suffix-key", "list", "help"]
    static let shortFlags: Set<Character> = ["l"]

    @OptionGroup var options: DeployedOptions
    @Flag(name: .shortAndLong, help: "List found results instead of downloading the first one.")
    var list = false
    @Argument(
        help: ArgumentHelp(
            "Filter metadata; applied in the order of appearance.", valueName: "key{==,<=,>=,<,>,<<,>>}value"))
    var meta: [String] = []

    func validate() throws {
        for filter in meta { try requireText(filter) }
        guard options.key != nil || options.url != nil else {
            throw ValidationError("one of the arguments -k/--key -u/--url is required")
        }
    }

    func carryOut() throws {
        let settings = try options.settings()
        let signature = try options.signature(settings)
        let filters = try meta.map { try MetadataFilter($0) }
        let downloader = Downloader(Cache(settings), trusting: signature.certificates, reporter: quietTerminal.reporter)
        let found = try downloader.select(options.identifier()!, filters: filters)
        guard !found.isEmpty else { throw UsageError("No result found with given criteria.") }
        guard !list else {
            return try quietTerminal.output(JSON.array(found.map(\.content)), sortingNames: true)
        }
        try downloader.downloadBlob(found[0].sha512, item: "", to: Destination(nil))
    }
}
