import ArgumentParser
import Client
import ShaCache
import TextTable

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Show which options are in force, and where each was set.")
    @OptionGroup var options: ClientOptions

    func run() throws {
        try options.perform { job in
            let options = NodeConfiguration.ConfigurationOption.allCases.map {
                ($0.rawValue, job.configuration.setting($0))
            }
            guard !self.options.json else {
                let members = options.map { name, setting in
                    (
                        JSON.Text(name),
                        setting.map { JSON.object(["value": JSON(shown: $0.value), "source": JSON(shown: $0.source)]) }
                            ?? .null
                    )
                }
                return try job.terminal.output(JSON.object(members))
            }
            if job.configuration.file == nil {
                job.terminal.note("there is no \(NodeConfiguration.defaultFile)")
            }
            let rows = options.map { name, setting in
                [name, setting.map { Self.shown(name, $0.value, job) } ?? "–", setting?.source ?? "not set"]
            }
            try job.terminal.output(textTable(columns: ["option", "value", "set in"], rows: rows))
        }
    }

    /// On one line.
    private static func shown(_ name: String, _ value: String, _ job: Job) -> String {
        guard name != NodeConfiguration.ConfigurationOption.signatureCertificates.rawValue else {
            let names = job.configuration.trustedCertificates(reporter: job.reporter).members.map(\.name)
            return "\(counted(names.count, "certificate")): \(names.joined(separator: ", "))"
        }
        return value.split(separator: "\n").joined(separator: " ")
    }
}
