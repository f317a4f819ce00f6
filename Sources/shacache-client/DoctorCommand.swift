import ArgumentParser
import Client
import ShaCache
import TextTable

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check the configuration against the server: one line each, with what is wrong and how to mend it.",
        discussion: """
            To see that uploads work it uploads a file of 65 bytes and an entry for it under the key \
            shacache-doctor:probe, always the same ones, so that a cache holds them once; --read-only leaves that out.

            Exit codes: 0 nothing fails (with --strict: no warnings either), 2 something does.
            """)

    @Flag(help: "Upload nothing.") var readOnly = false
    @OptionGroup var options: ClientOptions

    func run() throws {
        try options.perform(warnsOfConfiguration: false) { job in
            var found: [Finding] = []
            var printing = Result { () throws in }
            let timeout = try options.timeout ?? environmentTimeout() ?? briefTimeout
            Doctor(job.configuration, timeout: timeout) { finding in
                found.append(finding)
                if !options.json { printing = printing.flatMap { Result { try job.terminal.output(finding.line) } } }
            }.examine(writes: !readOnly)
            try printing.get()
            if options.json { try job.terminal.output(JSON.array(found.map(\.json))) }
            let failures = found.count { $0.severity == .failure }
            let warnings = found.count { $0.severity == .warning }
            job.terminal.result("\(failures) failed, \(counted(warnings, "warning"))")
            guard failures == 0, !options.strict || warnings == 0 else { throw ExitError(status: .failed) }
        }
    }
}

extension Finding {
    fileprivate var line: String {
        let start = "\(severity.rawValue)\(String(repeating: " ", count: 9 - severity.rawValue.count))"
        let mending = mend.map { "\n         mend: \($0.visible)" } ?? ""
        return "\(start)\(subject): \(text.visible)\(mending)"
    }

    fileprivate var json: JSON {
        .object([
            "verdict": JSON(severity.rawValue), "subject": JSON(subject), "text": JSON(shown: text),
            "mend": mend.map { JSON(shown: $0) } ?? .null,
        ])
    }
}
