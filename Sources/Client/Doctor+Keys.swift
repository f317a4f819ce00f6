import Glibc
import OpenSSL
import System

extension Doctor {
    /// The key that signs, and the certificates that are believed.
    func examineSigning() {
        let option = NodeConfiguration.ConfigurationOption.signatureCertificates.rawValue
        for warning in brokenCertificates {
            tell(.warning(option, warning, mend: "put the whole certificate there, from BEGIN to END, or remove it"))
        }
        if certificates.members.isEmpty {
            tell(
                .failure(
                    option, "holds no certificate: nothing in the cache is trusted",
                    mend: "list the certificates of those whose uploads you trust, PEM one after another"))
        } else {
            tell(.good(option, "trusts \(certificates.members.map(\.name).joined(separator: ", "))"))
        }
        for member in certificates.members { examineStrength(of: member, option) }
        examineSigningKey()
    }

    private func examineStrength(of member: TrustedCertificates.TrustedSigner, _ option: String) {
        guard let key = try? member.certificate.publicKey(), key.isRSA, key.bits < 2048 else { return }
        tell(
            .warning(
                option, "\(member.name) has an RSA key of \(key.bits) bits, which can be broken",
                mend: "ask its owner for a new one; shacache generate-signature-key makes 3072 bits"))
    }

    private func examineSigningKey() {
        let option = NodeConfiguration.ConfigurationOption.signatureKeyFile.rawValue
        guard let path = configuration[.signatureKeyFile] else {
            return tell(.good(option, "not set: this machine signs nothing"))
        }
        do {
            guard let key = try configuration.signingKey() else { return }
            examinePermissions(path, option)
            _ = try key.signatureOfEntry([])
            guard certificates.member(matching: try key.publicKey()) == nil else {
                return tell(.good(option, "signs as \(certificates.member(matching: try key.publicKey())!.name)"))
            }
            tell(
                .failure(
                    option,
                    "its certificate is not in signature-certificate-list: the deployed clients refuse to start",
                    mend: "add the certificate that generate-signature-key printed to the list"))
        } catch {
            tell(
                .failure(
                    option, "\(error)",
                    mend: (error as? any HasHint)?.hint ?? "name a readable PEM file without a passphrase"))
        }
    }

    private func examinePermissions(_ path: String, _ option: String) {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & 0o077 != 0 else { return }
        tell(.warning(option, "\(path) can be read by others than its owner", mend: "chmod 600 \(path)"))
    }

    /// The files with which this machine proves itself to a service.
    func examineIdentity(_ service: CacheService) {
        let identity = configuration.identity(service)
        let prefix = service == .cache ? "shacache" : "shadir"
        if let path = identity.authorityFile { examineAuthorities(path, "\(prefix)-ca-file") }
        guard let path = identity.certificateFile else { return }
        let option = "\(prefix)-cert-file"
        guard let certificate = readCertificate(path, option) else { return }
        examineValidity(of: certificate, option)
        examineTLSKey(identity.keyFile, of: certificate, "\(prefix)-key-file")
    }

    private func examineAuthorities(_ path: String, _ option: String) {
        guard let authorities = readCertificates(path, option) else { return }
        tell(.good(option, "read"))
        // A private authority's file. Of what systems trust, not all would pass, and those that are needed do.
        guard authorities.count <= 5 else { return }
        for authority in authorities {
            guard let fault = authority.strictFault else { continue }
            tell(
                .warning(
                    option, "\(authority.subject) has \(fault): Python from 3.13 on refuses it, curl takes it",
                    mend:
                        "have the cache's operator make one with critical basicConstraints, keyUsage and key identifiers"
                ))
        }
    }

    private func readCertificates(_ path: String, _ option: String) -> [Certificate]? {
        do {
            return try Certificate.list(pem: contentsOfFile(path))
        } catch {
            tell(.failure(option, "\(error)".naming(path), mend: "name a readable PEM file"))
            return nil
        }
    }

    private func readCertificate(_ path: String, _ option: String) -> Certificate? {
        readCertificates(path, option)?.first
    }

    private func examineValidity(of certificate: Certificate, _ option: String) {
        let left = certificate.notAfter - time(nil)
        let mend = "ask the cache's operator for a new certificate"
        if left < 0 {
            tell(.failure(option, "expired \(counted(-left / 86_400, "day")) ago", mend: mend))
        } else if certificate.notBefore > time(nil) {
            tell(.failure(option, "not valid yet", mend: "check this machine's clock"))
        } else if left < 21 * 86_400 {
            tell(.warning(option, "expires in \(counted(left / 86_400, "day"))", mend: mend))
        } else {
            tell(
                .good(
                    option,
                    "\(certificate.commonName ?? certificate.subject), valid for \(counted(left / 86_400, "day"))"))
        }
        if !certificate.isStrongEnoughForTLS {
            tell(.failure(option, "has an \(certificate.keyName): TLS refuses it", mend: mend))
        }
        if let digest = certificate.brokenDigest {
            tell(
                .failure(
                    option,
                    "is signed with \(digest): OpenSSL 3.0 doesn't load it, and where a newer one does, nginx refuses it",
                    mend: mend))
        }
    }

    private func examineTLSKey(_ path: String?, of certificate: Certificate, _ option: String) {
        guard let path else {
            return tell(.failure(option, "not set", mend: "name the certificate's key file"))
        }
        do {
            let key = try PrivateKey(pem: contentsOfFile(path)).publicKey().der()
            guard try key == certificate.publicKey().der() else {
                return tell(
                    .failure(option, "\(path) is another certificate's key", mend: "name the matching key file"))
            }
            examinePermissions(path, option)
        } catch {
            tell(.failure(option, "\(error)".naming(path), mend: "name a readable PEM file without a passphrase"))
        }
    }
}
