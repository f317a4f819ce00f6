import ShaCache
import Testing

struct UpstreamListTests {
    @Test func `a list is read as it was written`() throws {
        let states: [(String, UpstreamList.State)] = [
            ("far", .asked), ("a.b-c_1", .away), ("x", .asked), ("y", .untrusted),
        ]
        let upstreams = states.map { UpstreamList.Upstream(name: $0, state: $1) }
        for count in 1...4 {
            let list = UpstreamList(Array(upstreams.prefix(count)))
            #expect(UpstreamList(list.text)?.upstreams == list.upstreams)
        }
        #expect(UpstreamList(upstreams).text == #""far", "a.b-c_1"; away, "x", "y"; away=certificate"#)
    }

    @Test(arguments: ["", "far", "\"far\"; here", "\"far\"; away=on", "\"\u{1B}[2J\"", "\"far\" \"b\"", "x\"far\""])
    func `what is none is not read`(_ text: String) { #expect(UpstreamList(text) == nil) }
}
