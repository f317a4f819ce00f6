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

    /// The first lines are those of `minimal`, and an empty one.
    @Test(arguments: [
        ("[worker]\nthreads = 3", "line 7: unknown option worker.threads"),
        ("[wrker]\n", "line 6: unknown option wrker"),
        (
            "[log]\nlvel = \"info\"\n[worker]\nthreads = 3",
            "line 7: unknown option log.lvel, line 9: unknown option worker.threads"
        ),
        ("[worker]\nlookup-threads = 0", "line 7: worker.lookup-threads: must be 1 or more"),
        ("[worker]\nlookup-threads = \"8\"", "line 7: worker.lookup-threads is missing, or of another type"),
        ("[uploads]\nsignatures = \"maybe\"", "line 7: uploads.signatures"),
        ("[log]\nlevel = \"loud\"", "line 7: log.level"),
        ("[ca]\nkey = \"k\"", "line 6: ca.certificate is missing"), ("[log", "line 6"),
        ("[collection]\n# why\n  untouched = \"soon\"", "line 8: collection.untouched: must be like"),
        ("[collection]\nrate = 0", "line 7: collection.rate: must be 1 or more"),
        ("[collection]\ntrash = 7", "line 7: collection.trash is missing, or of another type"),
        ("[retention]\nname = \"a\"", "line 6: retention: its tables are written [[retention]]"),
        ("[upstream]\nname = \"a\"", "line 6: upstream: its tables are written [[upstream]]"),
        ("[[collection]]\nrate = 3", "line 6: collection: its tables are written [collection]"),
        // Each is why something else is missing.
        ("[[retention]]\nname = \"a\"\nkeep-for = \"1 day\"", "line 8: unknown option retention.keep-for"),
        ("[[retention]]\nnam = \"a\"\nkeep-since-use = \"1 day\"", "line 7: unknown option retention.nam"),
        ("[[upstream]]\nname = \"a\"\nurl = \"http://a\"", "line 8: unknown option upstream.url"),
        ("[ca]\ncert = \"k\"\nkey = \"k\"", "line 7: unknown option ca.cert"),
    ])
    func `what is wrong is named, with its line`(_ addition: String, _ words: String) {
        #expect { try configuration(minimal + "\n" + addition) } throws: {
            // An option is named once, and nothing beside what is unknown.
            words.contains("unknown")
                ? "\($0)".hasSuffix("shacache.toml: \(words)") : "\($0)".contains("shacache.toml: \(words)")
        }
    }

    @Test func `a misspelt option that is needed is said to be unknown`() {
        let text = "[database]\nconection = \"\"\n[store]\ndirectory = \"/s\"\n"
        #expect { try configuration(text) } throws: { "\($0)".hasSuffix(": line 2: unknown option database.conection") }
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
        let shown = example[begin.lowerBound...].split(separator: "\n[collection]")[0]
            .replacing(/(?m)^# (\[\[|[a-z-]+ = )/) { "\($0.output.1)" }
        let policies = try configuration(minimal + shown).retention
        #expect(policies.map(\.name) == ["old-sources", "loose"])
    }

    private let upstream = """
        [[upstream]]
        name = "far"
        shacache = "https://far.example/shacache"
        shadir = "https://far.example/shadir"

        """

    @Test func `upstreams are read in the order of the file`() throws {
        let upstreams = try configuration(
            minimal + upstream + """
                ca-file = "/ca.crt"
                certificate = "/c.crt"
                key = "/c.key"
                redirect-hosts = ["cdn.example"]
                header-timeout = "2 seconds"
                stall-timeout = "1 minute"
                limit = "5 GB"
                bandwidth = 1000000

                [[ upstream ]]
                name = "other"
                shacache = "http://other.example"
                shadir = "http://other.example"
                """
        ).upstreams
        #expect(upstreams.map(\.name) == ["far", "other"])
        let (far, other) = (upstreams[0], upstreams[1])
        #expect(far.shacache == "https://far.example/shacache" && far.shadir == "https://far.example/shadir")
        #expect([far.authorityFile, far.certificateFile, far.keyFile] == ["/ca.crt", "/c.crt", "/c.key"])
        #expect(far.redirectHosts == ["cdn.example"])
        #expect([far.headerTimeout, far.stallTimeout, far.sizeLimit, far.bandwidth] == [2, 60, 5 << 30, 1_000_000])
        #expect(
            [other.headerTimeout, other.stallTimeout, other.sizeLimit, other.bandwidth] == [5, 30, 100 << 30, nil])
        #expect(try configuration(minimal).upstreams.isEmpty)
    }

    @Test(arguments: [
        ("[[upstream]]\nname = \"far\"\nshadir = \"http://a\"", "line 5: upstream.shacache is missing"),
        (
            "[[upstream]]\nname = \"far\"\nshacache = \"http://a/\"\nshadir = \"http://a\"",
            "line 7: upstream.shacache: must be"
        ),
        ("UP limit = 0", "line 9: upstream.limit: must be a number of bytes"),
        ("UP header-timeout = 5", "line 9: upstream.header-timeout: must be"),
        ("UP key = \"/c.key\"", "line 9: upstream.key: goes with certificate"),
        ("UP url = \"/c.key\"", "line 9: unknown option upstream.url"),
        ("UP UP", "line 9: the upstream far: there is another one of that name"),
        ("[fetching]\nclients = 0", "line 6: fetching.clients: must be a number from 1 to 1000"),
    ])
    func `what is wrong with an upstream is named, with its line`(_ addition: String, _ words: String) {
        #expect {
            try configuration(minimal + addition.replacing("UP ", with: upstream).replacing("UP", with: upstream))
        } throws: {
            "\($0)".contains(words)
        }
    }

    /// The example in the file shows every option, and is right.
    @Test func `the upstream that the example shows is one`() throws {
        let example = try String(contentsOfFile: "\(repository)/ops/shacache.toml", encoding: .utf8)
        let begin = try #require(example.range(of: "# [[upstream]]"))
        let shown = example[begin.lowerBound...].split(separator: "\n[fetching]")[0]
            .replacing(/(?m)^# (\[\[|[a-z-]+ = )/) { "\($0.output.1)" }
        #expect(try configuration(minimal + shown).upstreams.map(\.name) == ["far"])
    }
}
