import Foundation
import OpenSSL
public import ShaCache
public import Storage

/// Records the text as a blob of an account, as the service would.
public func put(_ text: String, by account: Account, in catalog: Catalog, publish: () throws -> Void) throws {
    let digest = Digest(bytes: Hash.digest(.sha512, of: text.utf8))
    var upload = UploadRecord.of(account)
    (upload.sha512, upload.bytes) = (digest, text.utf8.count)
    try catalog.recordBlob(digest, size: text.utf8.count, upload: upload, publish: publish)
}

/// Records an entry of an account, as the service would.
///
/// - Parameters:
///   - digest: the blob that it names; nil for one that nobody has.
///   - most: how many the key may have.
public func list(
    _ note: String, under key: String, by account: Account, naming digest: Digest? = nil,
    result: SignatureResult = .unsigned, in catalog: Catalog, most: Int = 100
) throws {
    let name = digest?.description ?? String(repeating: "c", count: 128)
    let metadata = "{\"sha512\": \"\(name)\", \"note\": \"\(note)\"}"
    let entry = try Entry(body: [UInt8](JSONEncoder().encode([metadata, ""])))
    var upload = UploadRecord.of(account, target: .entry)
    let path = try Key(key)
    (upload.key, upload.sha512, upload.bytes, upload.signatureResult) = (path, entry.sha512, 1, result)
    let limits = KeyLimits(entries: most, bytes: 1 << 20, entriesPerAccount: 100)
    try catalog.recordEntry(entry, under: path, upload: upload, limits: limits)
}
