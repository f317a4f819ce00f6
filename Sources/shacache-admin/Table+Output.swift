import Foundation
import Storage
import TextTable

extension Table {
    func text() -> String { textTable(columns: columns, rows: rows.map { $0.map(\.text) }) }
}

/// As people read JSON, and scripts too.
func prettyJSON(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}
