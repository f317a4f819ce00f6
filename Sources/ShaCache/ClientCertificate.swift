import OpenSSL

/// A TLS client certificate as nginx hands it on.
public struct ClientCertificate: Sendable {
    /// SHA-256 of the DER form.
    public let fingerprint: [UInt8]

    /// - Parameter escaped: PEM with percent escapes, nginx's `$ssl_client_escaped_cert`.
    /// - Returns: nil when it is not a certificate.
    public init?(escaped: [UInt8]) {
        guard let pem = percentDecoded(escaped), let fingerprint = try? Certificate(pem: pem).fingerprint() else {
            return nil
        }
        self.fingerprint = fingerprint
    }
}
