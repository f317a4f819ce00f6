public import ShaCache

extension Uploader {
    /// What became of an entry.
    public enum Indexed: String, Sendable {
        case added
        case wasThere
    }

    /// Signs an entry, adds it, and reads it back.
    public func index(_ digest: Digest, under key: Key, metadata: Metadata) throws -> Indexed {
        try index([(digest, metadata)], under: key)[0].get()
    }

    /// Signs entries, adds those that are lacking in this order, and reads them back together.
    ///
    /// - Returns: what became of each. One that fails doesn't stop the others.
    public func index(
        _ blobs: [(digest: Digest, metadata: Metadata)], under key: Key
    ) -> [Result<Indexed, any Error>] {
        do {
            var listed = try digests(under: key)
            let added = blobs.map { blob in Result { try add(blob.digest, blob.metadata, under: key, unless: listed) } }
            if cache.reads(.directory), added.contains(where: { (try? $0.get().1) == .added }) {
                listed = try digests(under: key)
            }
            return added.map { outcome in
                Result {
                    let (entry, indexed) = try outcome.get()
                    guard !cache.reads(.directory) || listed.contains(entry.digest) else {
                        throw CacheFailure.broken("\(key.text): the entry isn't listed after the cache accepted it")
                    }
                    try warnOfTrust(in: entry, key)
                    return indexed
                }
            }
        } catch {
            return blobs.map { _ in .failure(error) }
        }
    }

    private func add(
        _ digest: Digest, _ metadata: Metadata, under key: Key, unless listed: Set<[UInt8]>
    ) throws -> (Entry, Indexed) {
        let entry = try Entry(metadata: metadata.object(naming: digest), signedWith: signature.key)
        if entry.signature.isEmpty {
            reporter.warn(
                "\(key.text): the entry is unsigned, since signature-private-key-file isn't set: no node trusts it")
        }
        if listed.contains(entry.digest) { return (entry, .wasThere) }
        try cache.put(entry, under: key)
        return (entry, .added)
    }

    /// Each time: an upload that is repeated, since the first one warned, isn't trusted either.
    private func warnOfTrust(in entry: Entry, _ key: Key) throws {
        if cache.reads(.directory), case .unknownSigner = try signature.certificates.trust(entry) {
            reporter.warn("\(key.text): signed, but the key's certificate isn't in signature-certificate-list here")
        }
    }

    /// Of all entries that nodes read under the key; none where this machine doesn't know where they read.
    private func digests(under key: Key) throws -> Set<[UInt8]> {
        guard cache.reads(.directory) else { return [] }
        do {
            return try cache.listing(of: key).entryDigests
        } catch CacheFailure.missing {
            return []
        }
    }
}
