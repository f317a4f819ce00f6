import Fixtures
import Foundation
import ShaCache
import Testing

@testable import Client

@Suite struct PlatformTests {
    private func platform(_ metadata: String) throws -> Platform? { Platform(try JSON(Array(metadata.utf8))) }

    @Test func `of Debian only the major version counts`() {
        let here = Platform(multiarch: "x86_64-linux-gnu", os: ["debian", "12", "bookworm"])
        #expect(here.runs(Platform(multiarch: "x86_64-linux-gnu", os: ["Debian", "12.5", ""])))
        #expect(here.runs(Platform(multiarch: "x86_64-linux-gnu", os: ["raspbian", "12", ""])))
        #expect(!here.runs(Platform(multiarch: "x86_64-linux-gnu", os: ["debian", "11.9", "bookworm"])))
        #expect(!here.runs(Platform(multiarch: "aarch64-linux-gnu", os: ["debian", "12", "bookworm"])))
    }

    @Test func `of other distributions all of it counts`() {
        let here = Platform(multiarch: "x86_64-linux-gnu", os: ["ubuntu", "22.04", "jammy"])
        #expect(here.runs(Platform(multiarch: "x86_64-linux-gnu", os: ["Ubuntu", "22.04", "jammy"])))
        #expect(!here.runs(Platform(multiarch: "x86_64-linux-gnu", os: ["ubuntu", "22.04", ""])))
    }

    @Test func `entries of long ago name machine and a tuple`() throws {
        let old = #"{"machine": "x86_64", "os": "('debian', '7.0', '')"}"#
        #expect(try platform(old) == Platform(multiarch: "x86_64-linux-gnu", os: ["debian", "7.0", ""]))
        #expect(try platform(#"{"machine": "i686", "os": "('debian', '7.0', '')"}"#) == nil)
    }

    @Test func `what names no platform fits none`() throws {
        #expect(try platform("{}") == nil)
        #expect(try platform(#"{"multiarch": "x86_64-linux-gnu", "os": ["debian", "12"]}"#) == nil)
        #expect(try platform(#"{"multiarch": "x86_64-linux-gnu", "os": "debian"}"#) == nil)
    }

    /// slapgrid takes each `n/a` for the other.
    @Test(arguments: ["n/a", "", "trixie/sid"]) func `of a Debian without a version the code name counts`(
        _ version: String
    ) {
        let here = Platform(multiarch: "x86_64-linux-gnu", os: ["debian", version, "trixie"])
        for same in ["n/a", "", "trixie/sid"] {
            #expect(here.runs(Platform(multiarch: "x86_64-linux-gnu", os: ["debian", same, "trixie"])))
        }
        #expect(!here.runs(Platform(multiarch: "x86_64-linux-gnu", os: ["debian", "n/a", "forky"])))
        #expect(!here.runs(Platform(multiarch: "x86_64-linux-gnu", os: ["debian", "13", "trixie"])))
    }

    @Test func `one Debian testing isn't the next`() {
        let here = Platform(multiarch: "x86_64-linux-gnu", os: ["debian", "trixie/sid", "trixie"])
        #expect(here.runs(Platform(multiarch: "x86_64-linux-gnu", os: ["debian", "trixie/sid", ""])))
        #expect(!here.runs(Platform(multiarch: "x86_64-linux-gnu", os: ["debian", "forky/sid", "forky"])))
        #expect(!here.runs(Platform(multiarch: "x86_64-linux-gnu", os: ["debian", "13", "trixie"])))
    }

    /// `Tests/system/test_platform.py` holds the table against `distro` itself.
    @Test(arguments: try Machine.all()) func `a machine is what Python's distro says`(_ machine: Machine) throws {
        let directory = try TemporaryDirectory()
        try machine.write(to: directory.path)
        let distribution = try Distribution(etc: "\(directory.path)/etc", lib: "\(directory.path)/usr/lib") {
            machine.files["lsb_release"]
        }
        #expect([distribution.id, distribution.version, distribution.codename] == machine.expected)
    }

    /// Starting it takes time, and where os-release says all, nothing depends on it.
    @Test func `lsb_release is asked only where os-release doesn't say all`() throws {
        let directory = try TemporaryDirectory()
        try Machine(files: ["etc/os-release": "ID=x\nVERSION_ID=1\nVERSION_CODENAME=\n"]).write(to: directory.path)
        _ = try Distribution(etc: "\(directory.path)/etc", lib: directory.path) {
            Issue.record("it was asked")
            return nil
        }
    }

    /// distro fails there, too, so that slapgrid has no platform.
    @Test(arguments: [
        (Data("ID=\"debian\nVERSION_ID=12\n".utf8), "the closing quotation mark is missing"),
        (Data("ID=debian\\".utf8), "a character behind a backslash is missing"),
        (Data([UInt8(ascii: "I"), UInt8(ascii: "D"), UInt8(ascii: "="), 0xe9]), "is not UTF-8"),
    ]) func `an os-release that can't be read is an error that names it`(_ contents: Data, _ reason: String) throws {
        let directory = try TemporaryDirectory()
        try contents.write(to: URL(filePath: "\(directory.path)/os-release"))
        #expect {
            try Distribution(etc: directory.path, lib: directory.path) { nil }
        } throws: {
            "\($0)" == "\(directory.path)/os-release: \(reason)"
        }
    }
}

/// The files of a machine that tell what it is, and what `distro` says of it.
struct Machine: Decodable, CustomTestStringConvertible {
    var name = ""
    private(set) var files: [String: String] = [:]
    private(set) var expected: [String] = []

    init(files: [String: String]) { self.files = files }

    /// A file is its text, or a list of its lines.
    init(from decoder: any Decoder) throws {
        for (name, text) in try decoder.singleValueContainer().decode([String: Text].self) {
            switch (name, text) {
            case ("says", .list(let words)): expected = expected.isEmpty ? words : expected
            case ("ours", .list(let words)): expected = words
            case (_, .list(let lines)): files[name] = lines.map { "\($0)\n" }.joined()
            case (_, .whole(let text)): files[name] = text
            }
        }
    }

    private enum Text: Decodable {
        case whole(String)
        case list([String])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            self =
                if let text = try? container.decode(String.self) { .whole(text) } else {
                    .list(try container.decode([String].self))
                }
        }
    }

    static func all() throws -> [Machine] {
        let table = try Data(contentsOf: URL(filePath: "\(repository)/Tests/ClientTests/platforms.json"))
        return try JSONDecoder().decode([String: Machine].self, from: table).map { name, machine in
            var machine = machine
            machine.name = name
            return machine
        }
    }

    func write(to root: String) throws {
        for directory in ["etc", "usr/lib"] {
            try FileManager.default.createDirectory(
                atPath: "\(root)/\(directory)", withIntermediateDirectories: true)
        }
        for (name, text) in files { try Data(text.utf8).write(to: URL(filePath: "\(root)/\(name)")) }
    }

    var testDescription: String { name }
}
