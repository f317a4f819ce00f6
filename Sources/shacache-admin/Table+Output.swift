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
