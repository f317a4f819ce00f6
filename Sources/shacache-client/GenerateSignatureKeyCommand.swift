import ArgumentParser
import Client
import ShaCache

struct GenerateSignatureKeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate-signature-key",
        abstract: "Make a key to sign entries with, and the certificate that nodes check it by.",
        discussion: """
            Two forms. With KEY_FILE and COMMON_NAME the key goes into KEY_FILE, and the certificate onto standard \
            output, or into --cert-file. With slapos.cfg alone the files are those that it names in \
            signature-private-key-file and signature-certificate-file, and the name is its computer_id, or this \
            host's. Nothing is overwritten. The key file is readable by its owner only; keep it so.
            """)

    @Option(
        help: ArgumentHelp("Where to put the certificate; - is standard output.", valueName: "file"),
        completion: .file())
    var certFile = "-"
    @Flag(
        name: .customLong("legacy-1024"),
        help: "An RSA key of 1024 bits instead of 3072, for those who must. It can be broken.")
    var legacy1024 = false
    @Argument(help: "The file for the key; or slapos.cfg, if it is alone.", completion: .file()) var keyFile: String
    @Argument(help: "The name in the certificate: who signs.") var commonName: String?
    @OptionGroup var options: ClientOptions

    func validate() throws { try requireText(commonName) }

    func run() throws {
        try options.perform { job in
            let request = try SignatureKeyRequest(
                keyFile: keyFile, certificateFile: certFile, commonName: commonName)
            let pair = try SignaturePair(commonName: request.name, bits: legacy1024 ? 1024 : 3072)
            try pair.write(key: request.keyFile, certificate: request.certificateFile)
            let written = [request.keyFile, request.certificateFile].compactMap(\.self).joined(separator: " and ")
            job.terminal.result("wrote \(written)")
            do {
                try job.output(
                    pair.listForm(), ["key": JSON(shown: request.keyFile), "certificate": JSON(pair.certificate.pem())])
            } catch {
                // A key whose certificate is lost is of no use.
                pair.discard(key: request.keyFile, certificate: request.certificateFile)
                throw error
            }
            job.terminal.result(
                """
                hand the certificate to the nodes, never the key: they trust what it signs once it stands in their \
                signature-certificate-list, and this machine needs it there too
                """)
        }
    }
}

/// What the two forms have in common.
struct SignatureKeyRequest {
    let keyFile: String
    /// nil for standard output.
    let certificateFile: String?
    let name: String

    /// - Parameters:
    ///   - keyFile: or, without a common name, the configuration that names the files.
    ///   - certificateFile: `-` is standard output.
    init(keyFile: String, certificateFile: String, commonName: String?) throws {
        if let commonName {
            self.keyFile = keyFile
            self.certificateFile = certificateFile == "-" ? nil : certificateFile
            name = commonName
        } else {
            let configuration = try NodeConfiguration(file: keyFile)
            let files = try configuration.signaturePairFiles()
            (self.keyFile, self.certificateFile, name) = (files.key, files.certificate, configuration.commonName)
        }
    }
}

extension SignaturePair {
    /// The certificate as a configuration has it.
    func listForm() throws -> String {
        let lines = try certificate.pem().split(separator: "\n").map { "  \($0)" }
        return "signature-certificate-list =\n\(lines.joined(separator: "\n"))"
    }
}
