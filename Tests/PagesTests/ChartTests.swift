import Foundation
import FoundationXML
import Testing

@testable import Pages

struct ChartTests {
    private func chart(_ values: [Int], _ shape: Chart.Shape = .columns, day: String = "day") -> Chart {
        Chart(
            title: "T", measure: "m", points: values.enumerated().map { ("\(day) \($0)", $1) }, shape: shape,
            write: { "\($0)" })
    }

    private func heights(_ svg: String) -> [Double] {
        svg.matches(of: /height="([0-9.]+)" rx/).map { Double($0.1)! }
    }

    @Test func `columns are as high as their numbers, and what there was at all is seen`() {
        #expect(heights(chart([50, 100, 0, 1000, 1]).svg) == [8, 16, 160, 2])
    }

    @Test(arguments: [[], [0], [0, 0], [7]])
    func `few numbers, or none, are drawn too`(_ values: [Int]) throws {
        for shape in [Chart.Shape.columns, .area] {
            let svg = chart(values, shape).svg
            #expect(!svg.contains("nan") && !svg.contains("inf"))
            #expect(try XMLDocument(xmlString: svg).rootElement()?.name == "svg")
        }
    }

    @Test func `what it says of itself is text`() throws {
        let day = "</text><script>\"\u{301}&"
        let svg = chart([1], day: day).svg
        let root = try #require(try XMLDocument(xmlString: svg).rootElement())
        #expect(root.attribute(forName: "aria-label")?.stringValue?.contains("on \(day) 0;") == true)
        #expect(root.elements(forName: "text").last?.stringValue == "\(day) 0")
        #expect(root.elements(forName: "script").isEmpty)
    }

    @Test(arguments: [
        (0, "0\u{A0}B"), (999, "999\u{A0}B"), (1024, "1.0\u{A0}KiB"), (1_047_552, "1.0\u{A0}MiB"),
        (102_400, "100\u{A0}KiB"), (Int.max, "8.0\u{A0}EiB"),
    ])
    func `bytes are said in three digits`(_ number: Int, _ text: String) { #expect(Format.bytes(number) == text) }

    @Test func `thousands stand apart`() {
        #expect(Format.count(1_234_567) == "1\u{202F}234\u{202F}567")
        #expect(Format.count(-123) == "−123")
        #expect(Format.count(Int.min).hasPrefix("−9\u{202F}223"))
    }
}
