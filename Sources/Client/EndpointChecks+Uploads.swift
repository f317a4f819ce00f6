import HTTP
import OpenSSL
import ShaCache

extension EndpointChecks {
    /// - Returns: whether the probe is in the cache now.
    func examineUploads(signedWith key: PrivateKey?) -> Bool {
        let wantsUploads = CacheService.allCases.contains { configuration.endpoint(.upload, $0, for: use) != nil }
        guard wantsUploads else {
            tell(.good(option(.upload, .cache), "not set: this machine uploads nothing"))
            return false
        }
        let isUploaded = examineBlobUpload()
        examineEntryUpload(signedWith: key)
        return isUploaded
    }

    /// Whether the upload URLs lead anywhere, and accept this machine's certificate, without uploading.
    ///
    /// - Parameter signs: whether this machine has a key to sign with.
    func examineUploadURLs(signs: Bool) {
        if !signs, let endpoint = configuration.endpoint(.upload, .directory, for: use) {
            tellUnsigned(endpoint, option(.upload, .directory))
        }
        for service in CacheService.allCases {
            let option = option(.upload, service)
            guard let endpoint = configuration.endpoint(.upload, service, for: use) else { continue }
            guard let response = ask(endpoint.request(.get, Self.name(for: service)), option) else { continue }
            examine(response, of: endpoint, option)
        }
    }

    private func uploadEndpoint(_ service: CacheService) -> Endpoint? {
        if let endpoint = configuration.endpoint(.upload, service, for: use) { return endpoint }
        tell(
            .failure(
                option(.upload, service), "not set, but the other upload URL is: uploads need both",
                mend: "ask the cache's operator for it"))
        return nil
    }

    private func examineBlobUpload() -> Bool {
        guard let endpoint = uploadEndpoint(.cache) else { return false }
        let option = option(.upload, .cache)
        var request = endpoint.request(.post)
        request.body = RequestBody(Self.probe)
        request.headers = [("Content-Type", "application/octet-stream")]
        guard let response = ask(request, option) else { return false }
        guard response.status == 201 else {
            tellRefusal(response, endpoint, option)
            return false
        }
        guard response.body == Array(Self.probeDigest.description.utf8) else {
            tell(
                .failure(
                    option, "\(endpoint.shownURL) takes a file, and answers something else than its SHA-512",
                    mend: "check that it is the URL of SHACACHE, not of another service"))
            return false
        }
        tell(.good(option, "\(endpoint.shownURL) takes files from this machine"))
        return true
    }

    private func examineEntryUpload(signedWith key: PrivateKey?) {
        guard let endpoint = uploadEndpoint(.directory) else { return }
        let option = option(.upload, .directory)
        let metadata = Metadata().object(naming: Self.probeDigest)
        guard let entry = try? Entry(metadata: metadata, signedWith: key) else { return }
        var request = endpoint.request(.put, Self.key)
        request.body = RequestBody(entry.body)
        request.headers = [("Content-Type", "application/json")]
        guard let response = ask(request, option) else { return }
        guard response.status == 201 else { return tellRefusal(response, endpoint, option) }
        if key == nil {
            tellUnsigned(endpoint, option)
        } else {
            tell(.good(option, "\(endpoint.shownURL) takes entries from this machine"))
        }
        readBack(entry)
    }

    private func tellUnsigned(_ endpoint: Endpoint, _ option: String) {
        tell(
            .warning(
                option,
                "\(endpoint.shownURL) is for entries, and this machine doesn't sign: no node trusts what it uploads",
                mend: "set signature-private-key-file; shacache generate-signature-key makes one"))
    }

    private func tellRefusal(_ response: HTTPResponse, _ endpoint: Endpoint, _ option: String) {
        guard !isUnconfiguredProxy(response) else { return tellUnconfiguredProxy(endpoint, option) }
        let mend =
            switch response.status {
            case 400 where response.words.contains("certificate"), 401, 403:
                if response.words.contains("signers") || response.words.contains("signed entries") {
                    "the server's signature policy refuses it: have the operator register the signing certificate"
                } else {
                    "ask the cache's operator for an account and a certificate, and set the …-cert-file and …-key-file"
                }
            case 507: "the server has no space left: tell its operator"
            default: "check the URL; if it is right, tell the cache's operator"
            }
        tell(.failure(option, "\(endpoint.shownURL) answers \(response.status) \(response.words)", mend: mend))
    }

    private func readBack(_ entry: Entry) {
        guard let endpoint = configuration.endpoint(.download, .directory, for: use) else { return }
        let option = option(.download, .directory)
        guard !failed.contains(option) else { return }
        guard let response = try? send(endpoint.request(.get, Self.key)), response.status == 200,
            let listing = try? UnverifiedListing(response.body), listing.contains(entry)
        else {
            return tell(
                .failure(
                    option, "doesn't list the entry that the upload URL took: they are different caches",
                    mend: "check both URLs"))
        }
        tell(.good(option, "lists what was uploaded"))
    }
}
