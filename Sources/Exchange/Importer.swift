import ShaCache
import Storage

/// One thread of an import: stores blobs and entries as a worker does that was sent them.
final class Importer {
    private let run: ImportRun
    private let session: Session
    private let blobs: BlobRepository
    private let entries: Entries
    private var account: Account
    private var signers: KnownSigners?

    var ledger: ImportLedger { run.ledger }
    private var store: LocalBlobs { run.settings.store }
    private var rules: UploadRules { run.settings.rules }

    init(_ run: ImportRun) throws {
        self.run = run
        session = run.settings.session()
        blobs = BlobRepository(run.settings.store, session, groups: run.blobGroups)
        entries = Entries(session, in: run.settings.store, groups: run.entryGroups)
        account = try session.account(named: run.settings.account)
    }

    /// What is stored goes by the account and the signers as they were read; the transaction confirms both.
    private func confirming(_ store: () throws -> Void) throws {
        try ChangedMeanwhile.decidingAnew(forget: readAgain, store)
    }

    private func readAgain() throws {
        account = try session.account(named: account.name)
        signers = nil
    }
}

extension Importer {
    /// Whether a blob is here, whole.
    func holds(_ digest: Digest) throws -> Bool { try retrying { try blobs.servedSize(of: digest) } != nil }

    /// Stores a blob, unless it is here already.
    ///
    /// - Parameters:
    ///   - size: in bytes, where it is known before the bytes are.
    ///   - fill: writes the blob's bytes into the spool.
    /// - Throws: `Refusal`, also when the bytes have another SHA-512; what `fill` threw.
    func storeBlob(_ digest: Digest, size: Int? = nil, fill: (borrowing SpooledBody) throws -> Void) throws {
        if let stored = try retrying({ try blobs.servedSize(of: digest) }) {
            guard size == nil || size == stored else {
                throw Refusal.sizeMismatch(digest, stored: stored, announced: size!)
            }
            return ledger.count { $0.duplicates += 1 }
        }
        try retrying { try blobs.admit(digest, size: size, of: account) }
        try admit(size ?? 0)
        let body = try SpooledBody(creatingIn: store)
        defer { body.discard() }
        try fill(body)
        let size = try body.size()
        try rules.checkSize(size, of: account)
        try confirming {
            var record = UploadRecord(target: .blob, byImport: run.number, of: account)
            record.bytes = size
            _ = try blobs.store(body, as: digest, record: &record)
        }
        ledger.count {
            $0.blobs += 1
            $0.bytes += size
        }
    }

    /// Whether there is room for a blob, before its bytes come.
    ///
    /// - Parameter size: in bytes.
    func admit(_ size: Int) throws {
        try rules.checkSize(size, of: account)
        try store.admit(bytes: size)
    }

    private func retrying<Result>(_ body: () throws -> Result) throws -> Result {
        try session.retryingWhileUnavailable(body)
    }
}

extension Importer {
    /// What a key's list may have, in bytes: several times what the key may hold here, since JSON writes some characters
    /// longer.
    var listLimit: Int { rules.keys.bytes * 4 }

    /// Stores the pairs of a list in their order, but for those that the key has already. One that is refused is
    /// reported, and stops no other.
    ///
    /// - Parameters:
    ///   - list: as a directory answers it.
    ///   - bring: gets the blob of an entry, before the entry is stored.
    /// - Throws: `Refusal` when the list can't be read.
    func storeList(_ list: [UInt8], under key: Key, bring: (Digest) throws -> Void) throws {
        let pairs = try Entry.pairs(in: list)
        let present = try presentPairs(under: key)
        for (index, pair) in pairs.enumerated() {
            var read: Entry?
            try ledger.attempt("\(key.text), entry \(index + 1)") { read = try Entry(pair: pair) }
            guard let entry = read else { continue }
            try bring(entry.sha512)
            try ledger.attempt("\(key.text), entry \(index + 1)") { try store(entry, under: key, unless: present) }
        }
    }

    /// Stores an entry, unless the key has it already.
    func store(_ entry: Entry, under key: Key) throws {
        try store(entry, under: key, unless: presentPairs(under: key))
    }

    private func store(_ entry: Entry, under key: Key, unless present: PresentPairs) throws {
        guard !present.contains(entry) else { return ledger.count { $0.duplicates += 1 } }
        let size = entry.body.count
        guard size <= Entry.sizeLimit else { throw Refusal.entryTooLarge(limit: Entry.sizeLimit) }
        try confirming {
            var record = UploadRecord(target: .entry, byImport: run.number, of: account)
            (record.key, record.sha512, record.bytes) = (key, entry.sha512, size)
            try rules.judge(entry, under: key, record: &record, signers: knownSigners)
            try entries.store(entry, under: key, upload: record, limits: rules.keys)
        }
        ledger.count { $0.entries += 1 }
    }

    private func knownSigners() throws -> KnownSigners {
        if let signers { return signers }
        let known = try retrying { try Signers(session).known() }
        signers = known
        return known
    }

    private func presentPairs(under key: Key) throws -> PresentPairs {
        var present = PresentPairs()
        _ = try retrying { try entries.forEach(of: key) { present.add(metadata: Array($0), signature: Array($1)) } }
        return present
    }
}

/// The visible pairs of a key.
private struct PresentPairs {
    /// The signatures, by the bytes of the metadata: Swift calls differently composed texts equal.
    private var signatures: [[UInt8]: [String]] = [:]

    mutating func add(metadata: [UInt8], signature: [UInt8]) {
        signatures[metadata, default: []].append(String(decoding: signature, as: UTF8.self))
    }

    /// Also when its signature is another writing of the same.
    func contains(_ entry: Entry) -> Bool {
        signatures[Array(entry.metadata.utf8), default: []].contains {
            $0 == entry.signature || entry.isSigned(likewise: $0)
        }
    }
}
