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
        if try listed(entry, under: key) != nil { return .wasThere }
        try cache.put(entry, under: key)
        try readBack(entry, key)
        return .added
    }

    private func readBack(_ entry: Entry, _ key: Key) throws {
        guard cache.configuration.endpoint(.download, .directory, for: cache.use) != nil else { return }
        switch try listed(entry, under: key) {
        case nil: throw CacheFailure.broken("\(key.text): the entry isn't listed after the cache accepted it")
        case .unknownSigner:
            reporter.warn("\(key.text): signed, but the key's certificate isn't in signature-certificate-list here")
        case .trusted, .unsigned: break
        }
    }

    /// How this node sees the entry; nil when the key doesn't list it.
    private func listed(_ entry: Entry, under key: Key) throws -> Trust? {
        guard cache.configuration.endpoint(.download, .directory, for: cache.use) != nil else { return nil }
        do {
            return try cache.listing(of: key, trusting: signature.certificates).trust(of: entry)
        } catch CacheFailure.missing {
            return nil
        }
    }
}
