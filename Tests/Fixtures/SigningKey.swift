import Foundation
public import OpenSSL

/// A signing pair as the deployed clients make it, and signatures as they make them: with the openssl command.
public struct SigningKey: Sendable {
    private let directory: TemporaryDirectory

    public init(bits: Int = 1024) throws {
        directory = try TemporaryDirectory()
        _ = try output(
            of: "openssl", "req", "-x509", "-newkey", "rsa:\(bits)", "-nodes", "-subj", "/CN=signer", "-days", "1",
            "-keyout", "\(directory.path)/key", "-out", "\(directory.path)/certificate")
    }

    public func certificate() throws -> Certificate {
        try Certificate(pem: [UInt8](Data(contentsOf: URL(filePath: "\(directory.path)/certificate"))))
    }

    /// Base64, on one line.
    public func sign(_ text: String, with digest: String = "-sha1") throws -> String {
        try output(of: "openssl", "dgst", digest, "-sign", "\(directory.path)/key", input: Data(text.utf8))
            .base64EncodedString()
    }
}
