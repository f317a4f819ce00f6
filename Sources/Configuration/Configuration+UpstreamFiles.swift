import OpenSSL
import System

extension Configuration {
    /// Looks whether the files of upstreams can be used by the user of this process, so that a misspelt one is known before
    /// anything is asked for. Only who fetches needs them.
    ///
    /// - Throws: `ConfigurationError`.
    public func checkUpstreamFiles() throws(ConfigurationError) {
        for (number, upstream) in upstreams.enumerated() {
            try check(upstream.authorityFile, "ca-file", number) { _ = try Certificate.list(pem: $0) }
            var certificate: Certificate?
            try check(upstream.certificateFile, "certificate", number) { certificate = try Certificate(pem: $0) }
            // Without a key's file, libcurl looks for the key behind the certificate.
            try check(
                upstream.keyFile ?? upstream.certificateFile, upstream.keyFile == nil ? "certificate" : "key", number
            ) { pem in
                let key = try PrivateKey(pem: pem)
                guard try certificate?.publicKey().der() == key.publicKey().der() else { throw ForeignKey() }
            }
        }
    }

    private func check(
        _ file: String?, _ option: String, _ number: Int, _ body: ([UInt8]) throws -> Void
    ) throws(ConfigurationError) {
        guard let file else { return }
        do {
            try body(contentsOfFile(file))
        } catch {
            let what = error is SystemError ? "\(error)" : "\(file): \(error)"
            throw ConfigurationError(description: "\(place(of: option, number)): \(what)")
        }
    }

    private func place(of option: String, _ number: Int) -> String {
        let names: [OptionName] = [
            OptionName(stringValue: "upstream"), OptionName(intValue: number), OptionName(stringValue: option),
        ]
        return origin.map { "\($0.path): \($0.lines.place(of: names))" } ?? "upstream.\(option)"
    }
}

private struct ForeignKey: Error, CustomStringConvertible {
    var description: String { "the key does not belong to the certificate" }
}
