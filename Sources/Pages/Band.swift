import ShaCache

/// A hash as a row of strokes, one for each of its first digits: two that differ are told apart at a glance. It says
/// nothing that the digits beside it don't say.
enum Band {
    static func svg(_ hash: String) -> String {
        var drawing = Drawing()
        drawing.open("svg", ["class": "band", "viewBox": "0 0 192 32", "aria-hidden": "true", "focusable": "false"])
        for (index, digit) in hash.prefix(32).enumerated() {
            let height = 4 + Double(digit.hexDigitValue ?? 0) * 28 / 15
            drawing.element(
                "rect",
                [
                    "x": Drawing.number(Double(index) * 6 + 1), "y": Drawing.number(16 - height / 2), "width": "3",
                    "height": Drawing.number(height), "rx": "1.5",
                ])
        }
        drawing.close("svg")
        return drawing.svg
    }

    /// For a browser's tab.
    static let icon: String = {
        var drawing = Drawing()
        drawing.open("svg", ["xmlns": "http://www.w3.org/2000/svg", "viewBox": "0 0 32 32", "fill": "#2f9584"])
        for (index, height) in [10, 22, 30, 16, 24].enumerated() {
            drawing.element(
                "rect",
                ["x": "\(index * 6 + 2)", "y": "\(16 - height / 2)", "width": "4", "height": "\(height)", "rx": "2"])
        }
        drawing.close("svg")
        return drawing.svg
    }()
}
