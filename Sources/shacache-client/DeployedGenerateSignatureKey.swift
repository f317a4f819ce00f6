import ArgumentParser
import Client

/// `generate-signature-key` of slapos.libnetworkcache, and its older form with the configuration alone.
struct DeployedGenerateSignatureKey: DeployedCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate-signature-key",
        abstract: "Make a signing key and its certificate. See also: shacache generate-signature-key")
    static let longOptions = ["cert-file", "help"]

    @Option(help: "Path of certificate to generate (by default, only print on stdout)")
    var certFile = "-"
    @Argument(help: "Key file to generate.") var keyFile: String
    @Argument(help: "Common name to use in the generated certificate.") var commonName: String?

    func validate() throws { try requireText(commonName) }

    func carryOut() throws {
        let request = try SignatureKeyRequest(keyFile: keyFile, certificateFile: certFile, commonName: commonName)
        // First, as the script does, which then prints nothing.
        try SignaturePair.checkFree(key: request.keyFile, certificate: request.certificateFile)
        let certificateFile = request.certificateFile ?? "-"
        try quietTerminal.output(
            "Generating certificate for '\(request.name)' (key: '\(request.keyFile)', certficate: '\(certificateFile)')\n"
        )
        let pair = try SignaturePair(commonName: request.name, bits: 3072)
        try pair.write(key: request.keyFile, certificate: request.certificateFile)
        try quietTerminal.output(pair.certificate.pem())
        try quietTerminal.output(
            "\nDon't forget to add the certificate to the signature-certificate-list in your SlapOS configuration file."
        )
    }
}
