import OpenSSL
import ShaCache
import Testing

@testable import Storage

struct DownloadSumsTests {
    private let digest = Digest(bytes: Hash.digest(.sha512, of: "1".utf8))

    @Test func `counts of one blob and day are added up, those of another day are not`() {
        var sums = DownloadSums()
        sums.countBlob(DownloadSums.Count(whole: 1, bytes: 10), of: digest, on: "2026-01-31")
        sums.countBlob(DownloadSums.Count(partial: 2, probes: 3, bytes: 4), of: digest, on: "2026-01-31")
        sums.countBlob(DownloadSums.Count(whole: 1, bytes: 10), of: digest, on: "2026-02-01")
        let sum = DownloadSums.Count(whole: 1, partial: 2, probes: 3, bytes: 14)
        #expect(sums.blobs[DownloadSums.Subject(day: "2026-01-31", name: digest.bytes)] == sum)
        #expect(sums.blobs.count == 2)
        #expect(sums.days[DownloadSums.Subject(day: "2026-01-31", name: Array("blob".utf8))] == sum)
        #expect(sums.keys.isEmpty)
    }

    /// Fails without the look at notFound in DownloadSums.countBlob: a row for each name that a client makes up.
    @Test func `a blob that is not there counts for its day only`() {
        var sums = DownloadSums()
        sums.countBlob(DownloadSums.Count(notFound: 1, bytes: 100), of: digest, on: "2026-01-31")
        #expect(sums.blobs.isEmpty)
        let day = DownloadSums.Subject(day: "2026-01-31", name: Array("blob".utf8))
        #expect(sums.days == [day: DownloadSums.Count(notFound: 1, bytes: 100)])
    }

    /// Fails when keys are compared as Swift strings.
    @Test func `keys that differ only in how their letters are composed are two`() throws {
        var sums = DownloadSums()
        for key in ["\u{e9}", "e\u{301}"] {
            sums.countKey(DownloadSums.Count(whole: 1), of: try Key(key), on: "2026-01-31")
        }
        #expect(sums.keys.count == 2)
        let day = DownloadSums.Subject(day: "2026-01-31", name: Array("key".utf8))
        #expect(sums.days == [day: DownloadSums.Count(whole: 2)])
    }

    @Test func `columns have the values of a row at one index`() throws {
        var sums = DownloadSums()
        for (number, day) in ["2026-01-31", "2026-02-01", "2026-02-02"].enumerated() {
            sums.countKey(DownloadSums.Count(whole: number, notFound: 10 * number, bytes: 7), of: try Key("k"), on: day)
        }
        let columns = DownloadSums.Columns(sums.keys)
        let rows = columns.days.indices.map { "\(columns.days[$0]) \(columns.whole[$0]) \(columns.notFound[$0])" }
        #expect(rows.sorted() == ["2026-01-31 0 0", "2026-02-01 1 10", "2026-02-02 2 20"])
        #expect(columns.textNames == ["k", "k", "k"])
        #expect(columns.binaryNames == ["\\x6b", "\\x6b", "\\x6b"])
        #expect(columns.bytes == ["7", "7", "7"])
    }
}
