import ShaCache
import Testing

@testable import Storage

struct RetentionPolicyTests {
    @Test(arguments: [
        ("90 days", 90 * 86400), ("1 day", 86400), ("12 hours", 43200), ("2weeks", 1_209_600), ("5 minutes", 300),
        ("1 second", 1),
    ])
    func `a period is read`(_ text: String, _ seconds: Int) { #expect(RetentionPeriod(text)?.seconds == seconds) }

    @Test(arguments: [
        "", "90", "days", "0 days", "-1 days", "1.5 days", "3 months", "1 dayss", "9999999999999999999 days",
        "99999999999999 weeks", "٣ days",
    ])
    func `what is no period is none`(_ text: String) { #expect(RetentionPeriod(text) == nil) }

    @Test(arguments: [
        ("0", 0), ("500", 500), ("500 GB", 500 << 30), ("500G", 500 << 30), ("1 TiB", 1 << 40), ("7kb", 7168),
        ("3 B", 3),
    ])
    func `bytes are read`(_ text: String, _ bytes: Int) { #expect(byteCount(text) == bytes) }

    @Test(arguments: ["", "GB", "1.5 GB", "-1", "1 XB", "99999999999T", "1 IB"])
    func `what is no number of bytes is none`(_ text: String) { #expect(byteCount(text) == nil) }
}

struct ExpiryDateTests {
    /// 2026-11-29 20:38:57 UTC.
    private static let time = 1_795_984_737
    private static let endOfDay = 1_795_996_800

    /// As they were seen in metadata, or as what writes metadata writes dates.
    private static let dates: [(String, Int)] = [
        // Zope's str(DateTime()), which ERP5's shadir uses. PostgreSQL would read GMT+1 west of Greenwich.
        ("2026/11/29 20:38:57.123456 UTC", time), ("2026/11/29 21:38:57 GMT+1", time),
        ("2026/11/29 15:08:57.5 GMT-5:30", time), ("2026/11/29", endOfDay),
        // ISO 8601, with and without what it lets one leave out; and Python's str() and isoformat().
        ("2026-11-29T20:38:57Z", time), ("2026-11-29T20:38:57", time), ("2026-11-29 20:38:57", time),
        ("2026-11-29 20:38:57.123456", time), ("2026-11-29T22:38:57+02:00", time), ("2026-11-29T22:38:57.1+0200", time),
        ("2026-11-29 15:38:57-05", time), ("2026-11-29 20:38:57+00:00", time), ("2026-11-29T20:38Z", time - 57),
        ("20261129T203857Z", time), ("2026-11-29", endOfDay), ("20261129", endOfDay),
        // Mail and HTTP (RFC 5322, RFC 9110), and ctime.
        ("Sun, 29 Nov 2026 20:38:57 GMT", time), ("Sun, 29 Nov 2026 21:38:57 +0100", time),
        ("29 Nov 2026 20:38:57 -0000", time), ("Sun, 29 Nov 2026 21:38:57 +0100 (CET)", time),
        ("Sun Nov 29 20:38:57 2026", time), ("Sun Nov  1 20:38:57 2026", time - 2_419_200),
        // Seconds since 1970, and what JavaScript has.
        ("1795984737", time), ("1795984737.25", time + 1), ("1795984737000", time), ("1.795984737e9", time),
        // A zone that only its server knows: as late as it can be.
        ("2026/11/29 20:38:57 Europe/Paris", time + 43_200), ("Sun, 29 Nov 2026 20:38:57 CET", time + 43_200),
        ("  2026-11-29T20:38:57Z  ", time),
    ]

    @Test(arguments: dates)
    func `a date is read as it is written`(_ text: String, _ seconds: Int) {
        #expect(ExpiryDate.read(text) == seconds, "\(text)")
    }

    @Test(arguments: [
        "", "never", "tomorrow", "2026-02-30", "2026-13-01", "29/11/2026", "11/29/2026", "2026-11-29T25:00:00Z", "0",
        "12",
        "20261399", "2026-11-29T20:38:57+99:00", "2026-11-29T20:38:57 + 2", "nan", "inf", "-1795984737", "1e300",
        "2026-11-29x", "2026-11", "Sun Nov 29 20:38:57", "2026-11-29T",
    ])
    func `what can't be read is no date`(_ text: String) { #expect(ExpiryDate.read(text) == nil, "\(text)") }

    private func date(_ metadata: String) -> Int? { ExpiryDate.of(metadata: metadata.utf8) }

    @Test func `the earlier of two dates counts, wherever one is read`() {
        #expect(date(#"{"expiration_date": "2026-11-29", "valid-until": 1795984737}"#) == Self.time)
        #expect(date(#"{"expiration_date": "soon", "valid-until": 1795984737.0}"#) == Self.time)
        #expect(date(#"{"expiration_date": null, "valid-until": true}"#) == nil)
        #expect(date(#"{"expiration_date": ["2026-11-29"], "other": {"valid-until": 1795984737}}"#) == nil)
        #expect(date(#"{"note": "\"expiration_date\": 1795984737"}"#) == nil)
        #expect(date(#"{"expiration_date": NaN}"#) == nil)
        #expect(date("[") == nil)
    }
}
