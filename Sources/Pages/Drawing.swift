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
