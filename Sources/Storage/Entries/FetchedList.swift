import OpenSSL
public import ShaCache

/// A key's list as an upstream sent it: the pairs that would be taken from a client, and how many would not.
public struct FetchedList {
    /// Of an entry, what is stored: what its metadata says takes many times their bytes.
    struct Pair {
        let metadata: String
        let signature: String
        let digest: [UInt8]
        let sha512: Digest
        let result: SignatureResult

        init(_ entry: Entry, _ result: SignatureResult) {
            (metadata, signature, digest, sha512) = (entry.metadata, entry.signature, entry.digest, entry.sha512)
            self.result = result
        }
    }

    private(set) var pairs: [Pair] = []
    public private(set) var refusedPairs = 0
    /// Why the first one was.
    public private(set) var refusal: String?
    /// Of metadata and signatures.
    private(set) var bytes = 0
    /// Of the list, and what its pairs were judged by.
    let digest: [UInt8]

    /// Brackets and commas of an element that may be a pair: it has three.
    private static let markLimit = 16

    /// Each pair is read by itself, as strictly as an upload: one that makes deployed clients fail on the whole key, or that
    /// the rules refuse, is left out.
    ///
    /// - Parameter list: the answer's body.
    /// - Throws: `Refusal` when that is no list; or what a damaged signer throws.
    public init(_ list: [UInt8], of key: Key, by rules: UploadRules, _ signers: KnownSigners) throws {
        let judge = "\(signers.version) \(rules.signatures) \(rules.refusesCredentials) \(rules.keys)"
        let hash = Hash(.sha256)
        list.withUnsafeBytes { hash.update($0) }
        Array(judge.utf8).withUnsafeBytes { hash.update($0) }
        digest = hash.finish()
        var known: Set<[UInt8]> = []
        var elements = try ListElements(list)
        while let element = elements.next() {
            do {
                let entry = try Self.entry(element)
                guard known.insert(entry.digest).inserted else { continue }
                try rules.keys.checkKey(adding: entry, to: (pairs.count, bytes))
                // Of no upload: it takes what the rules find of the signature.
                var record = UploadRecord(target: .entry, clientAddress: "", requestID: "", start: .now)
                try rules.judge(entry, under: key, record: &record) { signers }
                pairs.append(Pair(entry, record.signatureResult!))
                bytes += entry.metadata.utf8.count + entry.signature.utf8.count
            } catch let refused as Refusal {
                refusedPairs += 1
                refusal = refusal ?? "\(refused)"
            } catch let error as JSON.Malformed {
                throw Refusal.malformedEntry("the list is not JSON: \(error.reason)")
            }
        }
        guard elements.isWhole else { throw Refusal.malformedEntry("the list is not JSON: it has no end") }
    }

    /// - Throws: `Refusal`; `JSON.Malformed` when the element isn't JSON.
    private static func entry(_ element: ListElements.Element) throws -> Entry {
        guard element.bytes.count <= Entry.sizeLimit else { throw Refusal.entryTooLarge(limit: Entry.sizeLimit) }
        guard element.marks <= markLimit else { throw Refusal.malformedEntry("this is no list of two strings") }
        return try Entry(pair: JSON(Array(element.bytes)))
    }
}
