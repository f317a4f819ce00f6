import ShaCache

/// A hash as a row of strokes, one for each of its first digits: two that differ are told apart at a glance. It has
/// no information beyond the digits beside it.
enum HashGlyph {
    static func svg(_ hash: String) -> String {
        var drawing = Drawing()
        drawing.open("svg", ["class": "band", "viewBox": "0 0 192 32", "aria-hidden": "true", "focusable": "false"])
        let strokes = hash.prefix(32).enumerated().map { index, digit in
            let height = 2 + 26 * Double(digit.hexDigitValue ?? 0) / 15
            return "M\(index * 6 + 3) \(Drawing.number(16 - height / 2))v\(Drawing.number(height))"
        }
        drawing.element("path", ["d": strokes.joined()])
        drawing.close("svg")
        return drawing.svg
    }

    /// For a browser's tab.
    static let icon: String = {
        var drawing = Drawing()
        drawing.open(
            "svg",
            [
                "xmlns": "http://www.w3.org/2000/svg", "viewBox": "0 0 32 32", "stroke": "#2f9584", "stroke-width": "4",
                "stroke-linecap": "round",
            ])
        drawing.element("path", ["d": "M4 12v8M10 6v20M16 3v26M22 9v14M28 5v22"])
        drawing.close("svg")
        return drawing.svg
    }()
}
