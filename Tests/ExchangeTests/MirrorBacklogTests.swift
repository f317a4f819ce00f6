import Storage
import Testing

@testable import Exchange

/// That no position is behind an item that is neither done nor on record.
struct MirrorBacklogTests {
    private var backlog = MirrorBacklog()

    private mutating func add(_ names: String..., upTo number: Int) {
        for (offset, name) in names.enumerated() {
            backlog.add(MirrorItem(.key, name), number: number - names.count + 1 + offset)
        }
        read(number)
    }

    private mutating func read(_ number: Int) {
        var position = MirrorRecord.Position()
        position.number = number
        backlog.noteRead(position)
    }

    private mutating func position() -> Int? {
        backlog.takeOutcome(ofFeed: true, isCurrent: true).position?.number
    }

    @Test mutating func `the position is before the first that is not done, in whatever order they are done`() {
        add("a", "b", "c", upTo: 3)
        let (a, b, c) = (backlog.take()!, backlog.take()!, backlog.take()!)
        #expect(backlog.take() == nil && !backlog.isIdle)
        backlog.finish(c)
        #expect(position() == 0)
        backlog.finish(a)
        #expect(position() == 1)
        backlog.fail(b, MirrorFailure("no"))
        let outcome = backlog.takeOutcome(ofFeed: true, isCurrent: true)
        #expect(outcome.position?.number == 3 && outcome.isCurrent && backlog.isIdle)
        #expect(outcome.failed.keys.map(\.name) == ["b"])
        #expect(backlog.takeOutcome(ofFeed: false, isCurrent: true).position == nil)
    }

    @Test mutating func `a key is done when its blobs are, and those go first`() {
        add("a", "b", upTo: 2)
        let a = backlog.take()!
        backlog.finish(a, lacking: [MirrorItem(.blob, "1"), MirrorItem(.blob, "2")])
        #expect(position() == 0)
        let (one, two, b) = (backlog.take()!, backlog.take()!, backlog.take()!)
        #expect([one, two, b].map(\.item.name) == ["1", "2", "b"])
        backlog.finish(b)
        backlog.finish(one)
        #expect(position() == 0)
        backlog.fail(two, MirrorFailure("no"))
        #expect(position() == 2)
    }

    /// It is asked for after both have been read.
    @Test mutating func `what waits already doesn't wait twice, and what is at work does`() {
        add("a", "a", upTo: 2)
        #expect(backlog.count == 1)
        let first = backlog.take()!
        #expect(position() == 0)
        add("a", upTo: 3)
        #expect(backlog.count == 1)
        backlog.finish(first)
        #expect(position() == 2)
    }

    @Test mutating func `what can't be done now is done later, and is no item's failure`() {
        add("a", upTo: 1)
        backlog.putBack(backlog.take()!, because: "away")
        #expect(backlog.trouble?.reason == "away" && position() == 0)
        backlog.finish(backlog.take()!)
        #expect(backlog.trouble == nil && position() == 1)
    }

    @Test mutating func `one that failed before is tried once at a time`() {
        backlog.add(MirrorItem(.key, "a"))
        let task = backlog.take()!
        backlog.add(MirrorItem(.key, "a"))
        #expect(backlog.count == 0)
        backlog.finish(task)
        #expect(backlog.takeOutcome(ofFeed: false, isCurrent: false).done.map(\.name) == ["a"])
    }

    /// Swift calls these equal.
    @Test mutating func `keys that are composed differently are two`() {
        add("\u{E9}", "e\u{301}", upTo: 2)
        #expect(backlog.count == 2)
    }
}
