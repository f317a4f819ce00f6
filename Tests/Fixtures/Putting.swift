import Foundation
public import ShaCache
public import Storage

extension TestStore {
    /// Stores the text as a blob of an account, as the service would.
    ///
    /// - Parameter groups: with whom; nil: alone.
    public func put(_ text: String, by account: Account, in session: Session, groups: BlobGroups? = nil) throws {
        let path = try files.spool(Array(text.utf8), in: directory)
        defer { unlink(path) }
        var upload = UploadRecord.of(account)
        upload.bytes = text.utf8.count
        let blobs = BlobRepository(files, session, groups: groups ?? BlobGroups())
        _ = try blobs.store(SpooledBody(named: path, in: files), as: nil, record: &upload)
    }
}

/// Records an entry of an account, as the service would.
///
/// - Parameters:
///   - digest: the blob that it names; nil for one that nobody has.
///   - most: how many the key may have.
///   - store: whose journal has it; nil: any.
public func list(
    _ note: String, under key: String, by account: Account, naming digest: Digest? = nil,
    result: SignatureResult = .unsigned, signers: SignersVersion? = nil, in session: Session, most: Int = 100,
    groups: EntryGroups? = nil, store: TestStore? = nil
) throws {
    let name = digest?.description ?? String(repeating: "c", count: 128)
    let metadata = "{\"sha512\": \"\(name)\", \"note\": \"\(note)\"}"
    let entry = try Entry(body: [UInt8](JSONEncoder().encode([metadata, ""])))
    var upload = UploadRecord.of(account, target: .entry)
    let path = try Key(key)
    (upload.key, upload.sha512, upload.bytes, upload.signatureResult) = (path, entry.sha512, 1, result)
    let limits = KeyLimits(entries: most, bytes: 1 << 20, entriesPerAccount: 100)
    upload.signersVersion = signers
    try Entries(session, in: (store ?? anyStore()).files, groups: groups ?? EntryGroups()).store(
        entry, under: path, upload: upload, limits: limits)
}

/// For journals that no test looks into.
public func anyStore() throws -> TestStore { try elsewhere.get() }

private let elsewhere = Result { try TestStore() }
