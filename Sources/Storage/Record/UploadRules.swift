public import ShaCache

/// What the operator decides about uploads.
public struct UploadRules: Sendable {
    public let signatures: SignaturePolicy
    /// Whether entries with a user or a password in a URL are refused.
    public let refusesCredentials: Bool
    public let keys: KeyLimits
    /// In bytes; nil is unlimited.
    public let blobSize: Int?

    public init(
        signatures: SignaturePolicy, refusesCredentials: Bool = false, keys: KeyLimits, blobSize: Int?
    ) {
        self.signatures = signatures
        self.refusesCredentials = refusesCredentials
        self.keys = keys
        self.blobSize = blobSize
    }
}

extension UploadRules {
    /// - Parameter bytes: of a blob that an account uploads.
    public func checkSize(_ bytes: Int, of account: Account) throws(Refusal) {
        if let blobSize, bytes > blobSize { throw .blobTooLarge(limit: blobSize) }
        try account.checkLimit(.blobSize, used: 0, adding: bytes)
    }

    /// Judges an entry before it is stored, and notes in its record what its signature is.
    ///
    /// - Parameter signers: asked for only when there is a signature.
    /// - Throws: `Refusal`, or what `signers` threw.
    public func judge(
        _ entry: Entry, under key: Key, record: inout UploadRecord, signers: () throws -> KnownSigners
    ) throws {
        if refusesCredentials { try entry.checkCredentials(under: key) }
        guard !entry.signature.isEmpty else {
            record.signatureResult = .unsigned
            return try signatures.checkResult(.unsigned)
        }
        let known = try signers()
        record.signersVersion = known.version
        let result = try entry.verify(against: known.trusted)
        record.signatureResult = result
        if case .verified(let id) = result {
            try entry.checkSignatureLength(as: known.trusted.first { $0.id == id }!)
        } else if try entry.verify(against: known.compromised) != .unknownSigner {
            throw Refusal.revokedSigner
        }
        try signatures.checkResult(result)
    }
}

extension Entry {
    fileprivate func checkCredentials(under key: Key) throws(Refusal) {
        if key.text.hasCredentials { throw .credentials("the key") }
        if content.hasCredentials { throw .credentials("the metadata") }
    }
}

extension SignaturePolicy {
    fileprivate func checkResult(_ result: SignatureResult) throws(Refusal) {
        switch (self, result) {
        case (.record, _), (.require, .verified): return
        case (.require, .unsigned): throw .unsigned
        case (.require, .unknownSigner): throw .unknownSigner
        }
    }
}

/// How much one key may hold. The deployed clients check every entry of a key with a process of its own, so
/// a flooded key is an attack on them.
public struct KeyLimits: Sendable {
    public let entries: Int
    /// Of metadata and signatures together.
    public let bytes: Int
    /// Of one account, so that none can use up a key that others need.
    public let entriesPerAccount: Int
    /// Of one account, for the same reason: one large entry is as good as many small ones.
    var bytesPerAccount: Int { bytes / 2 }

    public init(entries: Int, bytes: Int, entriesPerAccount: Int) {
        self.entries = entries
        self.bytes = bytes
        self.entriesPerAccount = entriesPerAccount
    }
}

/// What a key has, or an account under it: entries, and bytes of metadata and signatures.
typealias Holdings = (entries: Int, bytes: Int)

extension KeyLimits {
    func checkKey(adding entry: Entry, to present: Holdings) throws(Refusal) {
        guard present.entries < entries else {
            throw .keyIsFull("the key has \(present.entries) entries, the most that a key may have")
        }
        let sum = present.bytes + entry.size
        guard sum <= bytes else {
            throw .keyIsFull("with this entry the key would hold \(sum) bytes, more than \(bytes)")
        }
    }

    func checkAccount(adding entry: Entry, to present: Holdings) throws(Refusal) {
        guard present.entries < entriesPerAccount else {
            throw .keyIsFull(
                "this account has \(present.entries) entries under the key, the most that one account may have")
        }
        let sum = present.bytes + entry.size
        guard sum <= bytesPerAccount else {
            throw .keyIsFull(
                "with this entry the account would have \(sum) bytes under the key, more than \(bytesPerAccount)")
        }
    }
}

extension Entry {
    /// What it adds to a key, in bytes.
    fileprivate var size: Int { metadata.utf8.count + signature.utf8.count }
}
