import Mustache
import ShaCache

/// Escapes text for HTML, in elements and in quoted attributes.
///
/// By bytes: Mustache's own does it by characters, and takes a quote with an accent over it for a letter, while a
/// browser sees the quote.
struct Markup: MustacheContentType {
    func escapeText(_ text: String) -> String { Self.escape(text) }

    static func escape(_ text: String) -> String {
        var escaped: [UInt8] = []
        escaped.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "&"): escaped += "&amp;".utf8
            case UInt8(ascii: "<"): escaped += "&lt;".utf8
            case UInt8(ascii: ">"): escaped += "&gt;".utf8
            case UInt8(ascii: "\""): escaped += "&quot;".utf8
            case UInt8(ascii: "'"): escaped += "&#39;".utf8
            default: escaped.append(byte)
            }
        }
        return String(decoding: escaped, as: UTF8.self)
    }
}

extension String {
    /// For the eye: what doesn't show, looks like a space and is none, or turns the direction of what follows, is
    /// written as its code point, so that no two texts look alike. And no URL in it has a user or a password.
    ///
    /// - Parameter lines: whether line ends and tabs stay.
    func shown(lines: Bool = false) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in withoutCredentials(in: self).unicodeScalars {
            if scalar.isSeen || lines && (scalar == "\n" || scalar == "\t") {
                shown.append(scalar)
            } else {
                shown.append(contentsOf: "[U+\(scalar.hexadecimal)]".unicodeScalars)
            }
        }
        return String(shown)
    }
}

extension Unicode.Scalar {
    fileprivate var isSeen: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned: false
        case .spaceSeparator: self == " "
        // Letters and marks that fonts don't draw, as Hangul's fillers; and the one pattern of Braille without a dot.
        default: !properties.isDefaultIgnorableCodePoint && self != "\u{2800}"
        }
    }

    /// At least four digits, as Unicode's own names have them.
    fileprivate var hexadecimal: String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}

/// SVG that is written here: the one thing that templates take as it is, so that all text in it must be escaped here.
struct Drawing {
    private(set) var svg = ""

    /// - Parameter values: attributes; text values are escaped.
    mutating func element(_ name: String, _ values: KeyValuePairs<String, String>, text: String? = nil) {
        open(name, values)
        if let text { svg += Markup.escape(text) }
        close(name)
    }

    mutating func open(_ name: String, _ values: KeyValuePairs<String, String> = [:]) {
        svg += "<\(name)"
        for (name, value) in values { svg += " \(name)=\"\(Markup.escape(value))\"" }
        svg += ">"
    }

    mutating func close(_ name: String) { svg += "</\(name)>" }

    /// With a digit behind the point, which is finer than any screen here.
    static func number(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths < 0 ? "-" : "")\(abs(tenths) / 10).\(abs(tenths) % 10)"
    }
}

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
