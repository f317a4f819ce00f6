import Storage

/// RFC 4180, which ends lines with CR LF.
func csvLine(_ fields: [String]) -> String { fields.map(\.csvField).joined(separator: ",") + "\r\n" }

extension Table {
    var csvLines: String { rows.map { csvLine($0.map(\.csvText)) }.joined() }
}

extension TableValue {
    /// A spreadsheet would run a text that begins like a formula; keys and metadata are anybody's.
    fileprivate var csvText: String {
        guard case .text(let text) = self, let first = text.unicodeScalars.first,
            "=+-@\t\r\n".unicodeScalars.contains(first)
        else { return self.text }
        return "'" + text
    }
}

extension String {
    fileprivate var csvField: String {
        guard unicodeScalars.contains(where: { ",\"\r\n".unicodeScalars.contains($0) }) else { return self }
        return "\"" + unicodeScalars.map { $0 == "\"" ? "\"\"" : "\($0)" }.joined() + "\""
    }
}
