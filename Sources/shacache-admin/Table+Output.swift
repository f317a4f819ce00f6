import Foundation
import ShaCache
import Storage
import TextTable

extension Table {
    func text() -> String { textTable(columns: columns, rows: rows.map { $0.map(\.text) }) }

    /// Without users and passwords in URLs: a terminal, and what a script writes, are seen by others.
    var withoutCredentials: Table {
        Table(columns: columns, rows: rows.map { $0.map(\.withoutCredentials) })
    }

    /// For people: most accounts have few limits.
    func withoutEmptyColumns() -> Table {
        let kept = columns.indices.filter { column in rows.contains { $0[column] != .null } }
        return Table(columns: kept.map { columns[$0] }, rows: rows.map { row in kept.map { row[$0] } })
    }
}

extension TableValue {
    fileprivate var withoutCredentials: Self {
        switch self {
        case .null, .number: self
        case .text(let text): .text(ShaCache.withoutCredentials(in: text))
        }
    }
}

/// As people read JSON, and scripts too.
func prettyJSON(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}

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
