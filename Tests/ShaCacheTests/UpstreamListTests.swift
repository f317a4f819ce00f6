import ShaCache
import Testing

struct UpstreamListTests {
    @Test func `a list is read as it was written`() throws {
        let upstreams = [("far", false), ("a.b-c_1", true), ("x", false)].map {
            UpstreamList.Upstream(name: $0.0, isAway: $0.1)
        }
        for count in 1...3 {
            let list = UpstreamList(Array(upstreams.prefix(count)))
            #expect(UpstreamList(list.text)?.upstreams == list.upstreams)
        }
        #expect(UpstreamList(upstreams).text == #""far", "a.b-c_1"; away, "x""#)
    }

    @Test(arguments: ["", "far", "\"far\"; here", "\"\u{1B}[2J\"", "\"far\" \"b\"", "x\"far\""])
    func `what is none is not read`(_ text: String) { #expect(UpstreamList(text) == nil) }
}
