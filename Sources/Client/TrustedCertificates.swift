public import OpenSSL
import ShaCache

/// The certificates whose signatures a node trusts: its `signature-certificate-list`. Of each only the key counts.
public struct TrustedCertificates: Sendable {
    public struct TrustedSigner: Sendable {
        /// Its common name, or its whole subject.
        public let name: String
        public let certificate: Certificate
        let signer: Signer
    }

    public let members: [TrustedSigner]

    /// - Parameter list: PEM, one after another. One that can't be read is left out with a warning, as the deployed
    ///   clients do.
    public init(_ list: String, reporter: Reporter) {
        let results = Certificate.each(pem: Array(list.utf8))
        members = results.enumerated().compactMap { index, result in
            do {
                let certificate = try result.get()
                return TrustedSigner(
                    name: certificate.commonName ?? certificate.subject, certificate: certificate,
                    signer: Signer(id: index, key: try certificate.publicKey()))
            } catch {
                reporter.warn("certificate \(index + 1) of \(results.count) in signature-certificate-list: \(error)")
                return nil
            }
        }
    }

    /// Whose key a signing key is the other half of; nil when it is none of ours.
    func member(matching key: PublicKey) -> TrustedSigner? {
        guard let wanted = try? key.der() else { return nil }
        return members.first { (try? $0.signer.key.der()) == wanted }
    }

    func trust(_ entry: Entry) throws(OpenSSLError) -> Trust {
        var favourite = 0
        return try trust(entry, favourite: &favourite)
    }

    /// - Parameter favourite: the member that verified the entry before. Most entries of a key have one signer, so
    ///   that one is asked first.
    /// - Throws: when OpenSSL offers no SHA-1.
    func trust(_ entry: Entry, favourite: inout Int) throws(OpenSSLError) -> Trust {
        guard !entry.signature.isEmpty else { return .unsigned }
        let order = [favourite] + members.indices.filter { $0 != favourite }
        for index in order where members.indices.contains(index) {
            guard case .verified = try entry.verify(against: [members[index].signer], withOneOf: [.sha1]) else {
                continue
            }
            favourite = index
            return .trusted(members[index].name)
        }
        return .unknownSigner
    }
}

/// Whether a node trusts an entry.
public enum Trust: Equatable, Sendable {
    /// With the name of the certificate that verifies it.
    case trusted(String)
    case unsigned
    /// Signed, and no certificate of the list verifies it: another signer's, or tampered with.
    case unknownSigner
}
