public import ShaCache

extension Uploader {
    /// What became of an entry.
    public enum Indexed: String, Sendable {
        case added
        case wasThere
    }

    /// Signs an entry, adds it, and reads it back.
    public func index(_ digest: Digest, under key: Key, metadata: Metadata) throws -> Indexed {
        let entry = try Entry(metadata: metadata.object(naming: digest), signedWith: signature.key)
        if entry.signature.isEmpty {
            reporter.warn(
                "\(key.text): the entry is unsigned, since signature-private-key-file isn't set: no node trusts it")
        }
        let indexed = try add(entry, under: key)
        // Each time: an upload that is repeated, since the first one warned, isn't trusted either.
        if cache.reads(.directory), case .unknownSigner = try signature.certificates.trust(entry) {
            reporter.warn("\(key.text): signed, but the key's certificate isn't in signature-certificate-list here")
        }
        return indexed
    }

    private func add(_ entry: Entry, under key: Key) throws -> Indexed {
        if try isListed(entry, under: key) { return .wasThere }
        try cache.put(entry, under: key)
        guard try !cache.reads(.directory) || isListed(entry, under: key) else {
            throw CacheFailure.broken("\(key.text): the entry isn't listed after the cache accepted it")
        }
        return .added
    }

    private func isListed(_ entry: Entry, under key: Key) throws -> Bool {
        guard cache.reads(.directory) else { return false }
        do {
            return try cache.listing(of: key).contains(entry)
        } catch CacheFailure.missing {
            return false
        }
    }
}
