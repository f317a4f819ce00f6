import OpenSSL
public import ShaCache

/// A key's list as an upstream sent it: the pairs that would be taken from a client, and how many would not.
public struct FetchedList {
    struct Pair {
        let entry: Entry
        let result: SignatureResult
    }

    private(set) var pairs: [Pair] = []
    public private(set) var refusedPairs = 0
    /// Why the first one was.
    public private(set) var refusal: String?
    /// Of metadata and signatures.
    private(set) var bytes = 0
    /// Of the list, and what its pairs were judged by.
    let digest: [UInt8]

    /// Each pair is read by itself, as strictly as an upload: one that makes deployed clients fail on the whole key, or that
    /// the rules refuse, is left out.
    ///
    /// - Parameter list: the answer's body.
    /// - Throws: `Refusal` when that is no list; or what a damaged signer throws.
    public init(_ list: [UInt8], of key: Key, by rules: UploadRules, _ signers: KnownSigners) throws {
        let judge = "\(signers.version) \(rules.signatures) \(rules.refusesCredentials) \(rules.keys)"
        digest = Hash.digest(.sha256, of: list + Array(judge.utf8))
        var known: Set<[UInt8]> = []
        for pair in try Entry.pairs(in: list) {
            do {
                let entry = try Entry(pair: pair)
                guard known.insert(entry.digest).inserted else { continue }
                try rules.keys.checkKey(adding: entry, to: (pairs.count, bytes))
                // Of no upload: it takes what the rules find of the signature.
                var record = UploadRecord(target: .entry, clientAddress: "", requestID: "", start: .now)
                try rules.judge(entry, under: key, record: &record) { signers }
                pairs.append(Pair(entry: entry, result: record.signatureResult!))
                bytes += entry.metadata.utf8.count + entry.signature.utf8.count
            } catch let refused as Refusal {
                refusedPairs += 1
                refusal = refusal ?? "\(refused)"
            }
        }
    }
}
