import Fixtures
import Postgres
import ShaCache
import Storage
import Testing

extension WithdrawalTests {
    @Test func `an account withdraws its own entries, all or those of a blob, and they come back in their place`()
        throws
    {
        try list("1", under: "k", by: alice, in: worker)
        try list("2", under: "k", by: bob, in: worker)
        try list("3", under: "k", by: alice, naming: digest, in: worker)
        let one = try entries.withdraw(under: Key("k"), naming: digest, why(alice))
        #expect(one.count == 1)
        #expect(try notes("k") == ["1", "2"])
        let other = try entries.withdraw(under: Key("k"), naming: nil, why(alice))
        #expect(try notes("k") == ["2"])
        #expect(throws: Refusal.withdrawn("entry", reason: "why")) { try list("1", under: "k", by: alice, in: worker) }
        #expect(try adminEntries.table(under: Key("k")).rows.count == 3)
        for number in [other.number, one.number] { #expect(try adminBlobs.lift(number, by: "tester")) }
        #expect(try notes("k") == ["1", "2", "3"])
        #expect(try notes("none") == [])
    }

    @Test func `an entry that an account withdrew comes back when another one puts it`() throws {
        for note in ["1", "2"] { try list(note, under: "k", by: alice, in: worker) }
        let number = try entries.withdraw(under: Key("k"), naming: nil, why(alice)).number
        try list("2", under: "k", by: bob, in: worker)
        #expect(try notes("k") == ["2"])
        #expect(try audit().last == "account:bob withdrawal lift uploaded again: entry 2")
        // It hides the other one still.
        #expect(throws: Refusal.self) { try list("1", under: "k", by: alice, in: worker) }
        #expect(throws: Refusal.self) { try entries.withdraw(under: Key("k"), naming: nil, why(alice)) }
        try list("1", under: "k", by: bob, in: worker)
        #expect(try notes("k") == ["1", "2"])
        #expect(throws: AdministrationError.self) { try adminBlobs.lift(number, by: "tester") }
    }

    /// Fails without the look at the key's holdings in Entries.reuse.
    @Test func `an entry that was withdrawn comes back only where its key has room`() throws {
        try list("1", under: "k", by: alice, in: worker, most: 1)
        _ = try entries.withdraw(under: Key("k"), naming: nil, why(alice))
        try list("2", under: "k", by: alice, in: worker, most: 1)
        #expect(throws: Refusal.keyIsFull("the key has 1 entries, the most that a key may have")) {
            try list("1", under: "k", by: bob, in: worker, most: 1)
        }
        #expect(try notes("k") == ["2"])
        try list("1", under: "k", by: bob, in: worker, most: 2)
        #expect(try notes("k") == ["1", "2"])
    }

    /// Fails without entry.is_shared, or when Entries.withdraw chooses by the key alone.
    @Test func `no account hides what another one put`() throws {
        try list("1", under: "k", by: alice, in: worker)
        #expect(throws: Refusal.self) { try entries.withdraw(under: Key("k"), naming: nil, why(bob)) }
        try list("1", under: "k", by: bob, in: worker)
        #expect(throws: Refusal.self) { try entries.withdraw(under: Key("k"), naming: nil, why(alice)) }
        #expect(try notes("k") == ["1"])
        _ = try adminEntries.withdraw(under: Key("k"), naming: nil, operators)
        #expect(try notes("k") == [])
        for account in [alice, bob] {
            #expect(throws: Refusal.withdrawn("entry", reason: "why")) {
                try list("1", under: "k", by: account, in: worker)
            }
        }
        #expect {
            try entries.withdraw(under: Key("k"), naming: nil, why(alice))
        } throws: {
            if case Refusal.nothingToWithdraw = $0 { true } else { false }
        }
    }

    @Test func `entries are withdrawn by number, all or none`() throws {
        for note in ["1", "2"] { try list(note, under: "k", by: alice, in: worker) }
        #expect(throws: AdministrationError.self) { try adminEntries.withdrawNumbered([1, 3], operators) }
        #expect(try notes("k") == ["1", "2"])
        #expect(try adminEntries.withdrawNumbered([2], operators).count == 1)
        #expect(try notes("k") == ["1"])
        #expect(throws: AdministrationError.self) { try adminEntries.withdrawNumbered([1, 2], operators) }
        #expect(try notes("k") == ["1"])
    }
}
