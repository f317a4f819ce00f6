import Postgres
import ShaCache

/// An entry that is to be stored, with all that its transaction needs to know.
public struct EntryUpload: Sendable, GroupedUpload {
    let entry: Entry
    let digest: [UInt8]
    let key: Key
    let record: UploadRecord
    let limits: KeyLimits

    var exclusion: [UInt8] { Array(key.text.utf8) }
}

/// The entries that the threads of a process store at once.
public typealias EntryGroups = UploadGroups<EntryUpload>

extension EntryUpload {
    /// In the order of the columns of `entry_upload` in SQL.
    var row: SQL {
        """
        ROW(\(record.columns), \(key.text), \(entry.metadata), \(entry.signature), \(digest), \(entry.sha512.bytes), \
        \(record.signatureResult?.name), \(record.signatureResult?.signer), \(record.signersVersion), \
        \(entry.facts.softwareURL), \(entry.facts.multiarch), \(entry.facts.os))
        """
    }
}

extension UploadRecord {
    /// The first columns of `entry_upload` and `blob_upload` in SQL.
    var columns: SQL {
        """
        \(account?.id), \(certificate), \(account?.version), \(inetAddress), \(bytes), \(duration), \(requestID)
        """
    }

    /// From the first byte of the request until now.
    var duration: String { "\(start.duration(to: .now) / .milliseconds(1)) milliseconds" }

    /// nginx passes `unix:` for a client on a unix socket, which is no address to PostgreSQL.
    var inetAddress: String? { clientAddress.isEmpty || clientAddress == "unix:" ? nil : clientAddress }
}
