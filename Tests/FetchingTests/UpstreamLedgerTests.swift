import ShaCache
import Storage
import Testing

@testable import Fetching

struct UpstreamLedgerTests {
    private let ledger = UpstreamLedger()
    private let blob = UpstreamFault.Subject.blob(Digest(String(repeating: "a", count: 128))!)

    private struct Failed: Error {}

    @Test func `what could not be written down is written down the next time, and only once`() throws {
        ledger.count { $0.bytes += 5 }
        ledger.note(UpstreamFailure(.wrongBytes, "wrong"), of: blob)
        ledger.note(UpstreamFailure(.noAnswer, "away"), of: blob)
        #expect(throws: Failed.self) { try ledger.flush(isAway: false) { _, _ in throw Failed() } }
        ledger.count { $0.bytes += 2 }
        var written: [(UpstreamSums, Int)] = []
        for _ in 1...2 { try ledger.flush(isAway: false) { written.append(($0, $1.count)) } }
        #expect(written.count == 1)
        #expect(written[0].0.bytes == 7 && written[0].0.faults == 1 && written[0].0.failures == 1 && written[0].1 == 1)
    }

    @Test func `that it is away, and back, is written down`() throws {
        var written: [Bool] = []
        for isAway in [false, true, true, false, false] {
            try ledger.flush(isAway: isAway) { _, _ in written.append(isAway) }
        }
        #expect(written == [false, true, false])
    }

    /// Fails without the bucket.
    @Test func `an upstream that gives nothing but what is wrong fills no record`() throws {
        for _ in 1...10_000 { ledger.note(UpstreamFailure(.wrongBytes, "wrong"), of: blob) }
        try ledger.flush(isAway: false) { sums, faults in #expect(sums.faults == 10_000 && faults.count < 200) }
    }
}
