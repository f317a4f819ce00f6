import Configuration
import Fixtures
import Foundation
import Storage
import Testing

struct ConfigurationTests {
    private let minimal = "[database]\nconnection = \"dbname=shacache\"\n[store]\ndirectory = \"/srv/shacache\"\n"

    private func configuration(_ text: String) throws -> Configuration {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/shacache.toml"
        try Data(text.utf8).write(to: URL(filePath: path))
        return try Configuration(file: path)
    }

    @Test func `what is left out has its default`() throws {
        let configuration = try configuration(minimal)
        #expect(configuration.worker.lookupThreads == 8)
        #expect(configuration.uploads.rules.signatures == .record)
        #expect(configuration.uploads.rules.blobSize == nil)
        #expect(configuration.ca == nil)
    }

    @Test(arguments: [
        ("[worker]\nthreads = 3", "unknown option worker.threads"), ("[wrker]\n", "unknown option wrker"),
        ("[log]\nlvel = \"info\"\n[worker]\nthreads = 3", "unknown option log.lvel, worker.threads"),
        ("[worker]\nlookup-threads = 0", "worker.lookup-threads"),
        ("[worker]\nlookup-threads = \"8\"", "worker.lookup-threads"),
        ("[uploads]\nsignatures = \"maybe\"", "uploads.signatures"), ("[log]\nlevel = \"loud\"", "log.level"),
        ("[log", "line 6"),
    ])
    func `what is wrong is named`(_ addition: String, _ words: String) {
        #expect { try configuration(minimal + "\n" + addition) } throws: {
            // An option is named once.
            words.hasPrefix("unknown") ? "\($0)".hasSuffix(": \(words)") : "\($0)".contains(words)
        }
    }

    @Test func `a missing section is named, and so is a missing file`() {
        #expect { try configuration("") } throws: { "\($0)".contains("database is missing") }
        #expect { try Configuration(file: "/nowhere/shacache.toml") } throws: {
            "\($0)" == "/nowhere/shacache.toml: no such file or directory"
        }
    }

    @Test func `the defaults that the example shows are the defaults`() throws {
        let example = try String(contentsOfFile: "\(repository)/ops/shacache.toml", encoding: .utf8)
        let uncommented = example.replacing(/(?m)^#([a-z-]+ = )/) { "\($0.output.1)" }
        #expect(uncommented != example)
        #expect("\(try configuration(uncommented))" == "\(try configuration(example))")

    }

    @Test func `policies are read in the order of the file, with their lines`() throws {
        let policies = try configuration(
            minimal + """
                [[retention]]
                name = "all"
                key-prefix = "k"
                account = "ann"
                signer = "farm"
                kind = "pypi"
                expired = true
                keep-since-upload = "90 days"
                keep-since-use = "2 weeks"
                keep-newest = 3
                newest-of = "software-release"
                bytes = "5 GB"

                [[ retention ]]
                name = "loose"
                blobs = "unnamed"
                keep-since-use = "1 day"
                """
        ).retention
        let filter = RetentionPolicy.EntryFilter(
            keyPrefix: "k", account: "ann", signer: "farm", kind: .pypi, isExpired: true)
        let keeps = RetentionPolicy.Keeps(
            sinceUpload: RetentionPeriod("90 days"), sinceUse: RetentionPeriod("2 weeks"),
            newest: .init(count: 3, group: .softwareRelease), bytes: 5 << 30)
        #expect(policies.map(\.line) == [5, 18])
        #expect(
            policies == [
                RetentionPolicy(name: "all", subject: .entries(filter), keeps: keeps, line: 5),
                RetentionPolicy(
                    name: "loose", subject: .unnamedBlobs(account: nil),
                    keeps: .init(sinceUse: RetentionPeriod("1 day")), line: 18),
            ])
        #expect(try configuration(minimal).retention.isEmpty)
    }

    /// The example in the file shows every option, and is right.
    @Test func `the policies that the example shows are policies`() throws {
        let example = try String(contentsOfFile: "\(repository)/ops/shacache.toml", encoding: .utf8)
        let begin = try #require(example.range(of: "# [[retention]]"))
        let shown = example[begin.lowerBound...].replacing(/(?m)^# (\[\[|[a-z-]+ = )/) { "\($0.output.1)" }
        let policies = try configuration(minimal + shown).retention
        #expect(policies.map(\.name) == ["old-sources", "loose"])
    }
}
