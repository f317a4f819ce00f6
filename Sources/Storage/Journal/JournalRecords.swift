import OpenSSL
import Postgres
import ShaCache

/// What a transaction did that only the database knows, to be appended to the journal once it is committed.
struct JournalRecords {
    /// Of accounts and signers: which ones the records name, by their numbers.
    struct Names {
        var accounts: Set<Int> = []
        var signers: Set<Int> = []

        var isEmpty: Bool { accounts.isEmpty && signers.isEmpty }

        func subtracting(_ others: Names) -> Names {
            Names(
                accounts: accounts.subtracting(others.accounts), signers: signers.subtracting(others.signers))
        }

        mutating func formUnion(_ others: Names) {
            accounts.formUnion(others.accounts)
            signers.formUnion(others.signers)
        }
    }

    private(set) var lines: [UInt8] = []
    private(set) var count = 0
    private(set) var names = Names()

    var isEmpty: Bool { lines.isEmpty }

    /// - Parameters:
    ///   - row: where the row as JSON stands, then the number of its account and, with `hasSigner`, that of its signer.
    ///   - column: of the first of these.
    mutating func add(_ kind: JournalKind, _ row: ResultRow, from column: Int = 0, hasSigner: Bool = false) {
        row.withBytes(column) { add(kind, json: $0) }
        if let account = row.int(column + 1) { names.accounts.insert(account) }
        if hasSigner, let signer = row.int(column + 2) { names.signers.insert(signer) }
    }

    mutating func add(_ kind: JournalKind, json: UnsafeRawBufferPointer) {
        JournalLine.append(kind, json: json, to: &lines)
        count += 1
    }

    mutating func add(_ kind: JournalKind, json: String) { Array(json.utf8).withUnsafeBytes { add(kind, json: $0) } }

    mutating func add(_ others: JournalRecords) {
        lines += others.lines
        count += others.count
        names.formUnion(others.names)
    }
}

/// What a record of the journal tells. None contradicts another, so that they may be read in any order: of an entry's
/// withdrawals the one with the highest number decides, since each was numbered behind a lock on what it hides.
enum JournalKind: String, CaseIterable {
    /// The first line of a file: the version of its format, and what wrote it.
    case header = "journal"
    /// `id`, `name`, `comment`, `created_at`: accounts never change their names.
    case account
    /// A row of `signer`. Of several, the earliest revocation counts.
    case signer
    /// A row of `entry`. What of it changes is that it becomes shared; its `withdrawal_id` counts for nothing: `hidden` and
    /// `shown` tell that.
    case entry
    /// A row of `withdrawal`; one that is lifted stays so, and hides nothing.
    case withdrawal
    /// `withdrawal` hides `entries` (numbers), or the `blob` (its row).
    case hidden
    /// `withdrawal` hides `entries` or the `blob` (its digest) no more, though it may hide others.
    case shown
    /// `entries` were removed for good.
    case removed
}

/// The form of a record: a line of sixteen hexadecimal digits, a space, and a JSON object with one member, which is named as
/// the kind. The digits are the first eight bytes of the SHA-256 of the object.
///
/// A line, since JSON has no raw newline in it: so the next record is found behind any damage, and people can read it.
/// SHA-256, since OpenSSL has it and a CRC would be code of our own; eight bytes of it, since they guard against disks,
/// not against forgers.
enum JournalLine {
    static let checksumBytes = 8

    static func append(_ kind: JournalKind, json: UnsafeRawBufferPointer, to lines: inout [UInt8]) {
        let prefix = Array("{\"\(kind.rawValue)\":".utf8)
        let hash = Hash(.sha256)
        prefix.withUnsafeBytes { hash.update($0) }
        hash.update(json)
        "}".utf8.withContiguousStorageIfAvailable { hash.update(UnsafeRawBufferPointer($0)) }!
        lines.append(contentsOf: Self.checksum(hash.finish()))
        lines.append(UInt8(ascii: " "))
        lines.append(contentsOf: prefix)
        lines.append(contentsOf: json)
        lines.append(UInt8(ascii: "}"))
        lines.append(UInt8(ascii: "\n"))
    }

    private static func checksum(_ digest: [UInt8]) -> [UInt8] { Array(hex(Array(digest.prefix(checksumBytes))).utf8) }

    /// The object of a line, which ends before the newline.
    ///
    /// - Returns: nil when the checksum isn't its own.
    static func object(in line: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        let length = 2 * checksumBytes
        guard line.count > length + 2, line[line.startIndex + length] == UInt8(ascii: " "),
            line[line.startIndex + length + 1] == UInt8(ascii: "{")
        else { return nil }
        let object = line.dropFirst(length + 1)
        return line.prefix(length) == checksum(Hash.digest(.sha256, of: object))[...] ? object : nil
    }
}
