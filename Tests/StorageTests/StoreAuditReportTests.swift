import Glibc
import OpenSSL
import ShaCache
import Testing

@testable import Storage

struct StoreAuditReportTests {
    private let digest = Digest(bytes: Hash.digest(.sha512, of: "1".utf8))

    private func item(_ kind: StoreAuditReport.FileKind, bytes: Int = 1, name: String = "a") -> StoredItem {
        var status = stat()
        (status.st_size, status.st_blocks) = (bytes, 8)
        let file = StoredFile(status, isAgain: false)
        return StoredItem(kind: kind, place: .path(name), file: file, detail: "", isMisplaced: false)
    }

    private func missing(_ bytes: Int) -> StoredItem {
        StoredItem(
            kind: .dangling, place: .row(digest), file: StoredFile(missing: bytes), detail: "", isMisplaced: false)
    }

    /// Fails when the total counts dangling rows, of which nothing lies on the disk.
    @Test func `the total is of what lies on the disk`() {
        var report = StoreAuditReport()
        report.add(item(.referenced))
        report.add(item(.referenced, bytes: 2))
        report.add(item(.orphan, bytes: 4))
        report.add(missing(8))
        let rows = Dictionary(uniqueKeysWithValues: report.table.rows.map { ($0[0].text, $0[1...].map(\.text)) })
        #expect(rows["referenced"] == ["2", "3", "8192"])
        #expect(rows["orphan"] == ["1", "4", "4096"])
        #expect(rows["withdrawn"] == ["0", "0", "0"])
        #expect(rows["total"] == ["3", "7", "12288"])
        #expect(rows["dangling"] == ["1", "8", "0"])
        #expect(report.table.rows.suffix(2).map { $0[0].text } == ["total", "dangling"])
    }

    @Test func `what is as it should be is counted and not named`() {
        var report = StoreAuditReport()
        let harmless: [StoreAuditReport.FileKind] = [
            .referenced, .unreferenced, .withdrawn, .quarantined, .journal, .arriving, .temporary, .directory,
        ]
        for kind in harmless { report.add(item(kind)) }
        #expect(report.discrepancies.isEmpty)
        for kind in [StoreAuditReport.FileKind.exposed, .damaged, .orphan, .unknown] {
            report.add(item(kind))
        }
        report.add(missing(1))
        #expect(report.discrepancies.map(\.kind) == [.exposed, .damaged, .orphan, .unknown, .dangling])
        #expect(report.discrepancies.last?.name == digest.description)
    }

    /// Fails without the limit in StoreAuditReport.note: a store without its database would name each of its files.
    @Test func `of each kind only so many are named, and all are counted`() {
        var report = StoreAuditReport()
        let most = StoreAuditReport.namedPerKind
        for number in 0...most { report.add(item(.orphan, name: "\(number)")) }
        report.add(item(.unknown))
        #expect(report.discrepancies.count == most + 1)
        #expect(report.sums[.orphan]?.files == most + 1)
    }
}
