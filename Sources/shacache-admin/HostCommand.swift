import ArgumentParser
import Storage

struct HostCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "host", abstract: "The servers that share this database.", subcommands: [HostForget.self])

    struct HostForget: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "forget", abstract: "Miss a server no longer that was taken away.",
            discussion: """
                /metrics then shows no runs of its tasks, nor what its last survey found, so that no alert waits for \
                it. Reports keep what they have. A host that runs something again is there again.
                """)
        @OptionGroup var options: AdminOptions
        @Argument(help: "As the label host at /metrics has it.")
        var name: String

        func run() throws {
            try TaskRuns(options.session()).forgetHost(name, by: options.actor)
            options.report("host \(name) forgotten")
        }
    }
}
