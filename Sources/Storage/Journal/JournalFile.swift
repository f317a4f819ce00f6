import Glibc
import System

/// A file of the journal that one process appends to, for one day.
///
///     DIRECTORY/journal/2026-11-29-HOST-3f9a….log
///
/// It is locked as long as the process has it open, so that others know a closed one.
///
/// `@unchecked Sendable`: it belongs to the thread that writes for all (`JournalQueue`).
final class JournalFile: @unchecked Sendable {
    static let suffix = ".log"
    /// Of one that was closed, and compressed since.
    static let compressedSuffix = ".gz"
    static let version = 1

    let day: String
    private let file: Descriptor
    private let directory: Descriptor
    /// In bytes, of what is durable.
    private var size = 0
    private var isNamedDurably = false

    /// Makes one, with nothing in it yet.
    init(in files: LocalBlobs, day: String) throws(StoreError) {
        self.day = day
        try files.makeJournalDirectory()
        directory = try files.openDirectory(files.journalDirectory, "the journal")
        let name = "\(day)-\(files.host)-\(hexadecimal(UInt64.random(in: 0 ... .max)))\(Self.suffix)"
        file = try Descriptor(
            inStore: "\(files.journalDirectory)/\(name)", flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o640,
            named: "a file of the journal")
        let number = file.number
        try asStoreError(try systemCall("lock", file.name) { flock(number, LOCK_EX) })
        // Between the two calls it was one that nobody had open: it may have been taken for a closed one.
        guard try asStoreError(try file.status()).st_nlink > 0 else {
            throw StoreError(.broken, "a new file of the journal was taken away")
        }
        try files.giveToOwner(file.number)
    }

    /// Appends lines, all or none of them, and makes them durable.
    func append(_ lines: [UInt8], host: String) throws(SystemError) {
        var bytes = lines
        if size == 0 { bytes = Self.header(host: host) + lines }
        let written = bytes.withUnsafeBytes { bytes in
            Result { () throws(SystemError) in try file.writeAll(bytes, at: size) }
        }
        // What a full disk took of it is no record. Should this fail, it is cut off by whoever reads it.
        if case .failure = written { try? file.truncate(to: size) }
        try written.get()
        try file.synchronizeData()
        if !isNamedDurably { try directory.synchronize() }
        isNamedDurably = true
        size += bytes.count
    }

    private static func header(host: String) -> [UInt8] {
        var records = JournalRecords()
        let host = host.filter { $0.isASCII && ($0.isLetter || $0.isNumber || ".-_".contains($0)) }
        records.add(.header, json: "{\"version\":\(version),\"host\":\"\(host)\",\"process\":\(getpid())}")
        return records.lines
    }

    /// In UTC.
    static func day(_ time: time_t = Glibc.time(nil)) -> String {
        var (time, parts) = (time, tm())
        gmtime_r(&time, &parts)
        let number = { (value: Int32) in value < 10 ? "0\(value)" : "\(value)" }
        return "\(parts.tm_year + 1900)-\(number(parts.tm_mon + 1))-\(number(parts.tm_mday))"
    }
}

private func hexadecimal(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

extension LocalBlobs {
    var journalDirectory: String { "\(directory)/journal" }

    /// An older release made a store without it.
    func makeJournalDirectory() throws(StoreError) {
        var status = stat()
        guard lstat(journalDirectory, &status) != 0 else { return }
        try repairDirectory("journal", owner())
    }
}
