import Fixtures
import Foundation
import ShaCache
import Testing

@testable import Client

@Suite struct ConfigurationTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func write(_ text: String) throws -> String {
        let path = "\(directory.path)/slapos.cfg"
        try Data(text.utf8).write(to: URL(filePath: path))
        return path
    }

    private func configuration(_ text: String, _ overrides: String...) throws -> NodeConfiguration {
        try NodeConfiguration(file: write(text), overrides: overrides)
    }

    @Test func `options read as Python's parser reads them`() throws {
        let text = """
            # comment
            [DEFAULT]
            host = cache.example.org
            [slapos]
            software_root = /opt/slapgrid
            [networkcache]
            Download-Cache-URL = http://%(host)s/shacache
            download-dir-url: http://%(host)s/shadir
            upload-cache-url=https://a/b?c=d:e
            shacache-ca-file =
            signature-certificate-list =
              -----BEGIN CERTIFICATE-----
              # a comment inside
              AAAA==

              -----END CERTIFICATE-----
            shadir-ca-file = 100%% ; not a comment
            \tupload-dir-url = x
            [other]
            a = b
            """
        let path = try write(text)
        let printed = try output(
            of: "python3", "\(repository)/Tests/ClientTests/options.py", path, "networkcache")
        let python = try JSON(Array(printed))
        let file = OptionFile(text)
        for name in [
            "download-cache-url", "download-dir-url", "upload-cache-url", "shacache-ca-file", "shadir-ca-file",
        ] {
            #expect(file.option(name, in: "networkcache")?.value == python[name]?.string, "\(name)")
        }
        // Empty lines and comments count for nothing in a list.
        let lines = python["signature-certificate-list"]!.string!.split(separator: "\n")
        let ours = file.option("signature-certificate-list", in: "networkcache")!.value.split(separator: "\n")
        #expect(ours == lines)
    }

    @Test func `buildout's += goes on with the value before`() throws {
        let configuration = try configuration(
            """
            [networkcache]
            upload-to-binary-cache-url-blacklist =
              http://a
            upload-to-binary-cache-url-blacklist += http://b
            """)
        #expect(configuration.prefixes(.uploadBlacklist) == ["http://a", "http://b"])
    }

    @Test func `a flag counts before the file, networkcache before slapos, the new name before the old`() throws {
        let text = """
            [slapos]
            signature_private_key_file = /slapos
            binary-cache-url-blacklist = http://old
            [networkcache]
            signature-private-key-file = /new
            signature_private_key_file = /old
            """
        #expect(try configuration(text)[.signatureKeyFile] == "/new")
        #expect(try configuration(text, "signature-private-key-file=/flag")[.signatureKeyFile] == "/flag")
        #expect(try configuration(text).downloadBlacklist == ["http://old"])
        #expect(
            try configuration(text, "download-from-binary-cache-url-blacklist=http://new").downloadBlacklist == [
                "http://new"
            ])
        #expect(try configuration(text).setting(.signatureKeyFile)?.source.hasSuffix("slapos.cfg:5") == true)
    }

    @Test func `a flag that names no option is a misuse`() throws {
        #expect(throws: UsageError.self) { try configuration("", "download-cache-ulr=x") }
        #expect(throws: UsageError.self) { try configuration("", "download-cache-url") }
    }

    @Test func `a file that is named must be there`() {
        #expect(throws: UsageError.self) { try NodeConfiguration(file: "\(directory.path)/nothing") }
    }
}
