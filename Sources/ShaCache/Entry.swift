import OpenSSL

/// One signed statement about a blob: the pair that a client sent, and what it says.
///
/// Only a pair that every deployed client can read becomes an `Entry`: a single unreadable one in a list makes
/// the real client lose the whole key.
public struct Entry: Sendable {
    /// A JSON object in text, byte for byte as it was signed.
    public let metadata: String
    /// Base64, or empty when unsigned.
    public let signature: String
    /// The blob that the metadata names. It need not exist.
    public let sha512: Digest
    public let facts: Facts
    /// What the metadata says: an object.
    public let content: JSON
    let signatureBytes: [UInt8]

    /// What an entry may weigh as a request body, in bytes.
    public static let sizeLimit = 1 << 20

    /// - Parameter body: a JSON list of two strings, metadata and signature.
    public init(body: [UInt8]) throws(Refusal) {
        guard body.count <= Self.sizeLimit else { throw .entryTooLarge(limit: Self.sizeLimit) }
        try self.init(pair: Self.document(body, "body"))
    }

    /// - Parameter pair: a list of two strings, metadata and signature, as a directory lists it.
    public init(pair: JSON) throws(Refusal) {
        let (metadata, signature) = try Self.strings(pair)
        try self.init(metadata: metadata, signature: signature)
    }

    public init(metadata: String, signature: String) throws(Refusal) {
        guard !metadata.utf8.contains(0) else { throw .malformedEntry("the metadata holds a NUL") }
        let object = try Self.object(metadata)
        guard let name = object["sha512"] else { throw .malformedEntry("the metadata has no sha512") }
        guard let sha512 = name.string.flatMap({ Digest($0) }) else {
            throw .malformedEntry("the metadata's sha512 is not 128 hexadecimal digits")
        }
        guard let signatureBytes = base64Decoded(signature.utf8), signature.isEmpty || !signatureBytes.isEmpty else {
            throw .malformedEntry("the signature is not base64")
        }
        self.metadata = metadata
        self.signature = signature
        self.sha512 = sha512
        self.signatureBytes = signatureBytes
        facts = Facts(object)
        content = object
    }

    /// The pairs of a key's list, as a directory answers it; each may be anything yet.
    ///
    /// - Throws: `Refusal.malformedEntry` when that is no list.
    public static func pairs(in list: [UInt8]) throws(Refusal) -> [JSON] {
        guard case .array(let pairs) = try document(list, "list") else {
            throw .malformedEntry("this is no list of pairs")
        }
        return pairs
    }

    /// As a request sends it.
    public var body: [UInt8] {
        var body = Array("[".utf8)
        body.appendJSONString(metadata)
        body += Array(", ".utf8)
        body.appendJSONString(signature)
        return body + Array("]".utf8)
    }

    /// SHA-256 over metadata, a zero byte and signature: the pair's identity under its key.
    public var digest: [UInt8] {
        Hash.digest(.sha256, of: Array(metadata.utf8) + [0] + Array(signature.utf8))
    }

    /// Whether this text is another writing of the signature: where base64 breaks its lines, and what the last of its
    /// bits are that carry nothing, is the writer's choice.
    public func isSigned(likewise text: String) -> Bool {
        !signature.isEmpty && base64Decoded(text.utf8) == signatureBytes
    }

    private static func strings(_ pair: JSON) throws(Refusal) -> (metadata: String, signature: String) {
        guard case .array(let pair) = pair, pair.count == 2, case .string(let metadata) = pair[0],
            case .string(let signature) = pair[1]
        else { throw .malformedEntry("the body is not a list of exactly two strings") }
        guard let metadata = metadata.string, let signature = signature.string else {
            throw .malformedEntry("the body holds a lone surrogate")
        }
        return (metadata, signature)
    }

    private static func object(_ metadata: String) throws(Refusal) -> JSON {
        let document = try document(Array(metadata.utf8), "metadata")
        guard case .object = document else { throw .malformedEntry("the metadata is not a JSON object") }
        return document
    }

    private static func document(_ text: [UInt8], _ what: String) throws(Refusal) -> JSON {
        do {
            return try JSON(text)
        } catch {
            throw .malformedEntry("the \(what) is not JSON: \(error.reason) at byte \(error.offset)")
        }
    }
}

extension Entry {
    /// What reports want to know of the metadata. Anything of another shape than usual is left out, not refused:
    /// the metadata belongs to its signer.
    public struct Facts: Sendable {
        public let softwareURL: String?
        public let multiarch: String?
        /// Distribution, version, id.
        public let os: [String]?

        init(_ metadata: JSON) {
            softwareURL = metadata["software_url"]?.plainString
            multiarch = metadata["multiarch"]?.plainString
            os = metadata["os"]?.plainStrings
        }
    }
}

extension JSON {
    /// PostgreSQL's text holds any character but NUL.
    fileprivate var plainString: String? { string.flatMap { $0.utf8.contains(0) ? nil : $0 } }

    fileprivate var plainStrings: [String]? {
        guard case .array(let elements) = self else { return nil }
        let strings = elements.compactMap(\.plainString)
        return strings.count == elements.count ? strings : nil
    }
}
