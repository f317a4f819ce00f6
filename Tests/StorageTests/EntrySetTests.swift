import Fixtures
import Postgres
import Testing

@testable import Storage

struct EntrySetTests {
    private func found(_ set: EntrySet, of numbers: [Int]) throws -> [Int] {
        let texts = numbers.map { String($0) }
        return try TestDatabase().connection().run(
            "SELECT id FROM unnest(\(texts)::bigint[]) AS entry (id) WHERE \(set.contains) ORDER BY id"
        ).map { $0.int(0)! }
    }

    @Test func `numbers are found that were inserted, and no others, however far they are apart`() throws {
        let inserted = [0, 1, 63, 64, 127, 6400, 1 << 32, (1 << 40) + 5, 10_000_000_000, Int.max]
        let others = [2, 62, 65, 128, 6399, 6401, (1 << 32) + 1, (1 << 40) + 4, 9_999_999_999, Int.max - 1]
        var set = EntrySet()
        #expect(try found(set, of: inserted + others).isEmpty)
        for number in inserted.reversed() { set.insert(number) }
        #expect(try found(set, of: inserted + others) == inserted.sorted())
        var single = EntrySet()
        single.insert(100)
        #expect(try found(single, of: [0, 36, 99, 100, 101, 164]) == [100])
    }
}
