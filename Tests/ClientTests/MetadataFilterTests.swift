import ShaCache
import Synchronization
import Testing

@testable import Client

struct MetadataFilterTests {
    private func entry(_ name: String, _ value: String?) throws -> Entry {
        let digest = String(repeating: "0", count: 128)
        let more = value.map { ", \"v\": \($0)" } ?? ""
        return try Entry(metadata: "{\"sha512\": \"\(digest)\", \"name\": \"\(name)\"\(more)}", signature: "")
    }

    /// - Parameter values: of `v`, as JSON; nil where it is lacking.
    /// - Returns: which values pass (`none` for a lacking one), and how many warnings there were.
    private func kept(_ filters: [String], of values: [String?]) throws -> (values: [String], warnings: Int) {
        let warnings = Mutex(0)
        let reporter = Reporter(warn: { _ in warnings.withLock { $0 += 1 } }, note: { _ in }, progress: { _ in })
        let entries = try values.enumerated().map { try entry("\($0)", $1) }
        let kept = try filters.map { try MetadataFilter($0) }.apply(to: entries, reporter: reporter)
        let numbers = kept.compactMap { $0.content["name"]?.string }.compactMap { Int($0) }
        return (numbers.map { values[$0] ?? "none" }, warnings.withLock { $0 })
    }

    @Test(arguments: [
        ("v==2", ["2", "2.0"]), ("v>=2", ["2", "10", "2.0"]), ("v<=2", ["1", "2", "2.0"]), ("v>2", ["10"]),
        ("v<2", ["1"]), ("v>>1", ["10"]), ("v<<10", ["1"]), ("v>>10", []), ("v<<1", []), ("v==3", []), ("w==1", []),
    ])
    func `each operator compares numbers as numbers`(_ filter: String, _ wanted: [String]) throws {
        let (values, warnings) = try kept([filter], of: ["1", "2", "10", "2.0", nil])
        #expect(values == wanted && warnings == 0)
    }

    @Test(arguments: [
        ("v==\"b\"", ["\"b\""]), ("v>\"a\"", ["\"b\""]), ("v<=\"a\"", ["\"a\""]), ("v==[\"a\", 1]", ["[\"a\", 1]"]),
        ("v>=[\"a\"]", ["[\"a\", 1]"]), ("v==null", ["null"]), ("v==true", ["1"]), ("v=={\"b\": 1}", ["{\"b\": 1.0}"]),
    ])
    func `texts, lists and the rest compare as in Python`(_ filter: String, _ wanted: [String]) throws {
        #expect(try kept([filter], of: ["\"a\"", "\"b\"", "[\"a\", 1]", "null", "1", "{\"b\": 1.0}"]).values == wanted)
    }

    @Test func `all that share the extreme are kept, in their order`() throws {
        #expect(try kept(["v>>0"], of: ["1", "3", "2", "3.0", "3"]).values == ["3", "3.0", "3"])
        #expect(try kept(["v<<9"], of: ["1", "3", "1.0"]).values == ["1", "1.0"])
        // None is greater than where it begins.
        #expect(try kept(["v>>3"], of: ["3", "3"]).values.isEmpty)
    }

    @Test func `filters follow one another`() throws {
        #expect(try kept(["v<10", "v>>0"], of: ["1", "5", "10"]).values == ["5"])
        #expect(try kept(["v>>0", "v<10"], of: ["1", "5", "10"]).values.isEmpty)
        #expect(try kept([], of: ["1", nil]).values == ["1", "none"])
    }

    @Test(arguments: [("v>1", 1), ("v==1", 1), ("v>>0", 1), ("v==null", 0), ("v>null", 2)])
    func `what can't be compared is left out with a warning`(_ filter: String, _ count: Int) throws {
        let (values, warnings) = try kept([filter], of: ["\"2\"", "0"])
        #expect(values.isEmpty && warnings == count)
    }

    @Test(arguments: [
        ("v>=1", "v", ">="), ("v>>1", "v", ">>"), (" v ==1", " v ", "=="), ("==1", "", "=="), ("a.b<\"<\"", "a.b", "<"),
        ("v== 1 ", "v", "=="),
    ])
    func `a filter is a name, the first operator, and JSON`(_ text: String, _ name: String, _ sign: String) throws {
        let filter = try MetadataFilter(text)
        #expect(filter.name == name && filter.operator.rawValue == sign)
    }

    @Test(arguments: ["v", "v=1", "", "v==", "v==a", "v=='a'", "v===1", "v>>>1", "v<=>1", "v==1,"])
    func `what is no filter is a misuse`(_ text: String) {
        #expect(throws: UsageError.self) { try MetadataFilter(text) }
    }

    @Test(arguments: ["v==a", "v==\"a", "v==a\\", "v== a "]) func `the hint is a filter`(_ text: String) throws {
        do {
            _ = try MetadataFilter(text)
            Issue.record("is a filter")
        } catch {
            let quoted = try #require(error.hint?.split(separator: "'").last)
            #expect(try MetadataFilter(String(quoted)).value.string != nil)
        }
    }
}
