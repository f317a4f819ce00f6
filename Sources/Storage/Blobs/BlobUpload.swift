import Postgres
import ShaCache

/// A sealed body that is to become a blob, with all that its transaction needs to know.
public struct BlobUpload: Sendable, GroupedUpload {
    let digest: Digest
    /// Of the file, which is open until its upload is stored or refused.
    let descriptor: CInt
    let record: UploadRecord

    var exclusion: [UInt8] { digest.bytes }

    /// In the order of the columns of `blob_upload` in SQL.
    var row: SQL { "ROW(\(record.columns), \(digest.bytes))" }
}

/// The blobs that the threads of a process store at once.
public typealias BlobGroups = UploadGroups<BlobUpload>
