import Testing

@testable import Fetching

struct CacheLoopTests {
    @Test func `a request ends where it has been`() {
        let passed = CacheLoop(CacheLoop("").passing("a"))
        #expect(passed.ends(at: "a") && !passed.ends(at: "b"))
        #expect(passed.passing("b") == "a, b")
    }

    @Test func `a request says whether its sender asks another one next`() {
        let passed = CacheLoop(CacheLoop("a").passing("b", goesOn: true))
        #expect(passed.goesOn && passed.isPassedOn && passed.ends(at: "b"))
        #expect(!CacheLoop(passed.passing("c")).goesOn && !CacheLoop("").isPassedOn)
    }

    @Test func `what others write behind their names counts for nothing`() {
        #expect(CacheLoop("x;v=1,  a ; b").ends(at: "a"))
    }

    @Test func `a way that is too long has no end`() {
        #expect(CacheLoop((0..<8).map { "c\($0)" }.joined(separator: ",")).ends(at: "a"))
    }

    @Test func `nothing gets into another header`() {
        #expect(!CacheLoop("a\r\nX-Evil: 1").passing("b").contains("\r\n"))
    }
}
