import Dispatch
import Fixtures
import Foundation
import Postgres
import ShaCache
import Synchronization
import System
import Testing

@testable import Storage

/// The form of the journal's files, and what is read of damaged ones.
struct JournalFileTests {
    private let directory: TemporaryDirectory
    private var path: String { "\(directory.path)/2026-11-29-here-0.log" }

    init() throws { directory = try TemporaryDirectory() }

    /// Three records, of which no two are equal.
    private let lines: [[UInt8]] = ["{\"id\":1,\"key\":\"\\n {\\\"\"}", "{\"id\":22}", "{\"id\":333}"].map { json in
        var records = JournalRecords()
        records.add(.entry, json: json)
        return records.lines
    }

    private func read(_ bytes: [UInt8], as suffix: String = "") throws -> (
        values: [String], damage: JournalReader.Damage
    ) {
        let file = suffix.isEmpty ? path : path.replacing(".log", with: suffix)
        try Data(bytes).write(to: URL(filePath: file))
        var values: [String] = []
        let damage = try JournalReader.read(file) {
            values.append("\($0.rawValue) \(String(decoding: $1, as: UTF8.self))")
        }
        return (values, damage)
    }

    private func values(_ numbers: some Sequence<Int>) -> [String] {
        numbers.map { number in
            let line = lines[number].dropFirst(17 + #"{"entry":"#.utf8.count).dropLast(2)
            return "entry \(String(decoding: line, as: UTF8.self))"
        }
    }

    /// Fails when JournalReader.take(line:) takes a line without its checksum.
    @Test func `a file that ends in the middle of a record has all those before it`() throws {
        let bytes = Array(lines.joined())
        var ends = [0]
        for line in lines { ends.append(ends.last! + line.count) }
        for size in 0...bytes.count {
            let read = try read(Array(bytes[..<size]))
            // Of a record, only the newline may be missing.
            let whole = ends.dropFirst().count { $0 - 1 <= size }
            #expect(read.values == values(0..<whole), "of \(size) bytes")
            #expect(read.damage.places == 0)
            #expect(read.damage.isTorn == !(ends.contains(size) || ends.contains(size + 1)), "of \(size) bytes")
        }
    }

    /// Fails when JournalReader.take(line:) looks at a damaged line only as a whole: the record behind a damaged newline is
    /// lost.
    @Test func `a flipped bit costs the record that has it, and no other`() throws {
        let bytes = Array(lines.joined())
        let second = lines[0].count..<(lines[0].count + lines[1].count)
        for position in second {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[position] ^= 1 << bit
                let read = try read(damaged)
                // A newline is of no record: then all three are there.
                let expected = position == second.last ? [0, 1, 2] : [0, 2]
                #expect(read.values == values(expected), "bit \(bit) of byte \(position - second.lowerBound)")
                #expect(read.damage.places >= 1 && !read.damage.isTorn)
            }
        }
    }

    @Test func `a file of a later release is not read as if it were one of this`() throws {
        var header = JournalRecords()
        header.add(.header, json: "{\"version\":2,\"host\":\"here\",\"process\":1}")
        #expect(throws: JournalIsNewer.self) { try read(header.lines + lines[0]) }
    }

    /// Fails when Journal.compress writes one member for all: what follows the damage is lost.
    @Test func `compressed, a closed file has the same records, and damage costs those of one member`() throws {
        let store = try TestStore()
        let name = "2026-11-29-here-0"
        let file = "\(store.directory.path)/journal/\(name)"
        var records = JournalRecords()
        for number in 0..<5000 { records.add(.entry, json: "{\"id\":\(number),\"key\":\"\(UUID())\"}") }
        try Data(records.lines).write(to: URL(filePath: "\(file).log"))
        #expect(try Journal(in: store.files).compressClosed() == 1)
        #expect(try Journal.fileNames(in: store.files) == ["\(name).gz"])
        var bytes = [UInt8](try Data(contentsOf: URL(filePath: "\(file).gz")))
        let whole = try read(bytes, as: ".gz")
        #expect(whole.values.count == 5000 && whole.damage == JournalReader.Damage())
        // People can read it as well.
        #expect(try output(of: "zcat", "\(file).gz") == Data(records.lines))

        bytes[bytes.count / 2] ^= 1
        let damaged = try read(bytes, as: ".gz")
        #expect(damaged.damage.places == 1)
        #expect(damaged.values.first == whole.values.first && damaged.values.last == whole.values.last)
        #expect(damaged.values.count < 5000 && Set(damaged.values).isSubset(of: whole.values))
    }

    /// A pipe would be waited for, and what another thing stands for be left out.
    @Test func `what has the name of a file and is none is named`() throws {
        let store = try TestStore()
        let path = "\(store.directory.path)/journal/2026-11-29-here-0.log"
        #expect(mkfifo(path, 0o600) == 0)
        #expect {
            try Journal.fileNames(in: store.files)
        } throws: {
            "\($0)".contains("2026-11-29-here-0.log is not a file")
        }
    }

    /// Fails without the lock in JournalFile.init.
    @Test func `a file that a process appends to is not compressed`() throws {
        let store = try TestStore()
        let file = try JournalFile(in: store.files, day: "2026-11-29")
        try file.append(lines[0], host: "here")
        #expect(try Journal(in: store.files).compressClosed() == 0)
        try file.append(lines[1], host: "here")
        let name = try #require(try Journal.fileNames(in: store.files).first)
        #expect(name.hasSuffix(".log"))
        var values: [String] = []
        let damage = try JournalReader.read("\(store.directory.path)/journal/\(name)") {
            values.append("\($0.rawValue) \(String(decoding: $1, as: UTF8.self))")
        }
        #expect(values == self.values(0..<2) && damage == JournalReader.Damage())
    }
}

/// Records of several threads, written at once.
struct JournalQueueTests {
    private let queue = JournalQueue()

    private func record(_ number: Int) -> JournalRecords {
        var records = JournalRecords()
        records.add(.entry, json: "{\"id\":\(number)}")
        return records
    }

    /// Submits one record, and while that is written, eight more, each in a thread.
    ///
    /// - Parameter write: is told how many records each write has.
    /// - Returns: what each of them threw.
    private func submitNine(_ write: @escaping @Sendable (Int) throws(StoreError) -> Void) -> [(any Error)?] {
        let errors = Mutex<[(any Error)?]>(Array(repeating: nil, count: 9))
        let (isWriting, mayEnd, finished) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0), DispatchGroup())
        for number in 0..<9 {
            finished.enter()
            let record = record(number)
            Foundation.Thread { [queue] in
                do {
                    try queue.submit(record, of: "2026-11-29") { lines, _, _ throws(StoreError) in
                        let count = lines.count { $0 == UInt8(ascii: "\n") }
                        if count == 1 {
                            isWriting.signal()
                            mayEnd.wait()
                        }
                        try write(count)
                    }
                } catch {
                    errors.withLock { $0[number] = error }
                }
                finished.leave()
            }.start()
            if number == 0 { isWriting.wait() }
        }
        let waiting = { [queue] in queue.state.wait { $0.waiting.reduce(0) { $0 + $1.records.count } } }
        while waiting() < 8 { Foundation.Thread.sleep(forTimeInterval: 0.01) }
        mayEnd.signal()
        #expect(finished.wait(timeout: .now() + 20) == .success)
        return errors.withLock { $0 }
    }

    /// Fails when JournalQueue.submit writes the records of its own thread alone.
    @Test func `those that come while one is written are written together`() {
        let writes = Mutex<[Int]>([])
        let errors = submitNine { count throws(StoreError) in writes.withLock { $0.append(count) } }
        #expect(errors.allSatisfy { $0 == nil })
        #expect(writes.withLock { $0 } == [1, 8])
        #expect(queue.takeFigures()?.writes == 2)
    }

    /// Fails when JournalQueue.submit lets those that waited go without the outcome.
    @Test func `when they could not be written, none of them is told that they were`() {
        let errors = submitNine { count throws(StoreError) in
            if count == 8 { throw StoreError(.noSpace, "no space") }
        }
        #expect(errors[0] == nil)
        #expect(errors.dropFirst().allSatisfy { ($0 as? StoreError)?.condition == .noSpace })
        // And those that come later are written again.
        #expect(throws: Never.self) { try queue.submit(record(9), of: "2026-11-29") { _, _, _ throws(StoreError) in } }
    }
}

extension LocalBlobs {
    /// The values of all records of a kind, in the order of the files.
    func journalRecords(_ wanted: JournalKind) throws -> [[String: Any]] {
        var values: [[String: Any]] = []
        for name in try Journal.fileNames(in: self) {
            let damage = try JournalReader.read("\(journalDirectory)/\(name)") { kind, value in
                guard kind == wanted else { return }
                let object = try JSONSerialization.jsonObject(with: Data(value))
                values.append(try #require(object as? [String: Any]))
            }
            #expect(damage == JournalReader.Damage())
        }
        return values
    }
}

/// What the journal has of each change.
struct JournalTests {
    private let store: TestStore
    private let database: TestDatabase
    private let (worker, admin): (Session, Session)
    private let (alice, bob): (Account, Account)

    init() throws {
        store = try TestStore()
        database = try TestDatabase()
        (worker, admin) = (database.session(), database.session(as: "shacache_admin"))
        alice = try database.addAccount("alice") { $0.roles.insert(.withdraw) }
        bob = try database.addAccount("bob") { $0.roles.insert(.withdraw) }
    }

    private var entries: Entries { Entries(worker, in: store.files) }

    private func records(_ kind: JournalKind) throws -> [[String: Any]] { try store.files.journalRecords(kind) }

    /// Fails without `note` in Entries.storeAlone, or `append` in Entries.storeGroup.
    @Test func `an entry is there with the number that the database gave it, and with its account`() throws {
        try list("first", under: "k", by: alice, in: worker, store: store)
        let entry = try #require(try records(.entry).first)
        let row = try #require(try database.connection().run("SELECT id, metadata FROM shacache.entry").first)
        #expect(entry["id"] as? Int == row.int(0) && entry["metadata"] as? String == row.text(1))
        #expect(entry["key"] as? String == "k" && entry["account_id"] as? Int == alice.id)
        #expect(try records(.account).map { $0["name"] as? String } == ["alice"])

        try list("second", under: "k", by: alice, in: worker, store: store)
        #expect(try records(.entry).count == 2)
        // Once in each file.
        #expect(try records(.account).count == 1)
    }

    /// The one before it may be lost: its worker was killed behind the COMMIT. Fails when `record_entries` returns nothing of
    /// duplicates.
    @Test func `a duplicate is written again, and that another account put it too`() throws {
        for account in [alice, alice, bob, bob] { try list("same", under: "k", by: account, in: worker, store: store) }
        let found = try records(.entry)
        #expect(Set(found.map { $0["id"] as? Int }).count == 1)
        #expect(found.map { $0["is_shared"] as? Bool } == [false, false, true, true])
    }

    /// Fails without the notes of Entries.hide and Withdrawals.clear.
    @Test func `a withdrawal is there with what it hides, and that it was lifted`() throws {
        for note in ["a", "b"] { try list(note, under: "k", by: alice, in: worker, store: store) }
        let why = Withdrawal(by: "tester", reason: Reason("why")!)
        let number = try Entries(admin, in: store.files).withdraw(under: Key("k"), naming: nil, why).number
        let hidden = try records(.hidden)
        #expect(hidden.map { $0["withdrawal"] as? Int } == [number])
        let numbers = try database.connection().run("SELECT id FROM shacache.entry ORDER BY id").map { $0.int(0)! }
        #expect(hidden.first?["entries"] as? [Int] == numbers)
        #expect(try records(.withdrawal).map { $0["reason"] as? String } == ["why"])

        _ = try BlobRepository(store.files, admin).lift(number, by: "tester")
        #expect(try records(.withdrawal).map { $0["lifted_by"] as? String } == [nil, "tester"])
    }

    /// Fails without the notes of BlobRepository.withdraw and liftForUpload.
    @Test func `a withdrawn blob is there with its row, and that an upload showed it again`() throws {
        try store.put("bytes", by: alice, in: worker)
        let digest = Digest(
            bytes: try #require(
                try database.connection().run("SELECT sha512 FROM shacache.blob").first?.bytes(0)))
        let blobs = BlobRepository(store.files, worker)
        let number = try blobs.withdraw(digest, Withdrawal(by: alice, reason: Reason("why")!)).number
        let row = try #require(try records(.hidden).first?["blob"] as? [String: Any])
        #expect(row["size"] as? Int == 5 && row["sha512"] as? String == "\\x\(digest)")

        try store.put("bytes", by: bob, in: worker)
        let shown = try #require(try records(.shown).first)
        #expect(shown["withdrawal"] as? Int == number && shown["blob"] as? String == "\(digest)")
    }

    /// Fails when Journal.append passes over a failure.
    @Test func `what the journal lacks is not acknowledged, and is written when it is sent again`() throws {
        let journal = store.files.journalDirectory
        #expect(rmdir(journal) == 0)
        #expect(FileManager.default.createFile(atPath: journal, contents: nil))
        let error = #expect(throws: NotJournaled.self) {
            try list("a", under: "k", by: alice, in: worker, store: store)
        }
        #expect(error?.cause is StoreError)
        #expect(try database.connection().run("SELECT FROM shacache.entry").count == 1)
        #expect(store.files.journalFigures()?.failures == 1)

        #expect(unlink(journal) == 0)
        try list("a", under: "k", by: alice, in: worker, store: store)
        #expect(try records(.entry).count == 1)
    }
}
