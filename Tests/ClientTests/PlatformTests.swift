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

    /// (id, version, code name) as `distro` 1.9 gives them for these files.
    @Test(arguments: [
        (
            "ID=debian\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\n",
            ["debian", "12", "bookworm"]
        ),
        ("ID=debian\nVERSION=\"7 (wheezy)\"\nVERSION_ID=\"7\"\n", ["debian", "7", "wheezy"]),
        ("ID=\"ol\"\nVERSION_ID=\"9.3\"\nVERSION=\"9.3\"\nID_LIKE=\"fedora\"\n", ["oracle", "9.3", ""]),
        ("ID=opensuse-leap\nVERSION_ID=15.5\n", ["opensuse", "15.5", ""]),
    ])
    func `os-release reads as Python's distro reads it`(file: String, expected: [String]) {
        let release = OSRelease(Array(file.utf8))
        #expect([release.id, release.version, release.codename] == expected)
    }
}
