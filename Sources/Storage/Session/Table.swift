import Foundation
public import Postgres

/// What a query answered, for people and for scripts.
public struct Table: Sendable {
    public let columns: [String]
    /// The kind of each column's values, also of a table without rows. Empty when it wasn't read from the database.
    public let kinds: [ColumnKind]
    public let rows: [[TableValue]]

    public init(columns: [String], kinds: [ColumnKind] = [], rows: [[TableValue]]) {
        self.columns = columns
        self.kinds = kinds
        self.rows = rows
    }

    init(_ rows: Rows) {
        let kinds = rows.columns.map(\.kind)
        columns = rows.columns.map(\.name)
        self.kinds = kinds
        self.rows = rows.map { row in
            kinds.enumerated().map { index, kind in
                guard let text = row.text(index) else { return .null }
                return kind == .number ? .number(text) : .text(text)
            }
        }
    }
}

/// As a list of objects.
extension Table: Encodable {
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        for row in rows { try container.encode(Dictionary(uniqueKeysWithValues: zip(columns, row))) }
    }
}

extension TableValue: Encodable {
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .text(let text): try container.encode(text)
        case .number(let text): try container.encode(Decimal(string: text))
        }
    }
}

public enum TableValue: Equatable, Sendable {
    case null
    case number(String)
    case text(String)

    public var text: String {
        switch self {
        case .null: ""
        case .number(let text), .text(let text): text
        }
    }
}
