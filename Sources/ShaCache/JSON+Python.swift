/// What the deployed clients' language does with JSON: they decide how an entry reads and which one is greater.
extension JSON {
    /// As Python's `json.dumps` writes it, in ASCII. An entry that says the same is then the same bytes, and with the
    /// same key the same signature, whichever client made it.
    ///
    /// - Parameter indent: spaces for each level; nil puts all on one line.
    public func dumped(indent: Int? = nil, sortingNames: Bool = false) -> String {
        var writer = PythonWriter(indent: indent, sortsNames: sortingNames)
        writer.write(self)
        return writer.text
    }
}

private struct PythonWriter {
    var text = ""
    private let indent: Int?
    private let sortsNames: Bool
    private var level = 0

    init(indent: Int?, sortsNames: Bool) {
        self.indent = indent
        self.sortsNames = sortsNames
    }

    mutating func write(_ value: JSON) {
        switch value {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let literal): text += PythonNumber(literal).description
        case .string(let value): text += value.quoted
        case .array(let elements): list("[", elements, "]") { $0.write($1) }
        case .object(let members):
            list("{", distinct(members), "}") { writer, member in
                writer.text += "\(member.name.quoted): "
                writer.write(member.value)
            }
        }
    }

    private mutating func list<Element>(
        _ open: String, _ elements: [Element], _ close: String, _ write: (inout Self, Element) -> Void
    ) {
        text += open
        level += 1
        for (index, element) in elements.enumerated() {
            if index > 0 { text += indent == nil ? ", " : "," }
            startLine()
            write(&self, element)
        }
        level -= 1
        if !elements.isEmpty { startLine() }
        text += close
    }

    private mutating func startLine() {
        guard let indent else { return }
        text += "\n" + String(repeating: " ", count: indent * level)
    }

    /// A dict has each name once: where it first stood, with the value that came last.
    private func distinct(_ members: [(name: JSON.Text, value: JSON)]) -> [(name: JSON.Text, value: JSON)] {
        var places: [[UInt8]: Int] = [:]
        var result: [(name: JSON.Text, value: JSON)] = []
        for member in members {
            if let place = places[member.name.bytes] {
                result[place].value = member.value
            } else {
                places[member.name.bytes] = result.count
                result.append(member)
            }
        }
        return sortsNames ? result.sorted { $0.name.bytes.lexicographicallyPrecedes($1.name.bytes) } : result
    }
}

extension JSON.Text {
    /// In quotes, with an escape for everything beyond ASCII.
    fileprivate var quoted: String {
        var quoted = "\""
        for scalar in codePoints {
            switch scalar {
            case 0x22: quoted += "\\\""
            case 0x5C: quoted += "\\\\"
            case 0x08: quoted += "\\b"
            case 0x09: quoted += "\\t"
            case 0x0A: quoted += "\\n"
            case 0x0C: quoted += "\\f"
            case 0x0D: quoted += "\\r"
            case 0x20..<0x7F: quoted.unicodeScalars.append(Unicode.Scalar(UInt8(scalar)))
            case 0x10000...:
                quoted += escape(0xD800 + (scalar - 0x10000) >> 10) + escape(0xDC00 + (scalar & 0x3FF))
            default: quoted += escape(scalar)
            }
        }
        return quoted + "\""
    }

    private func escape(_ unit: UInt32) -> String { "\\u" + hex([UInt8(unit >> 8), UInt8(unit & 0xFF)]) }

    /// Lone surrogates too.
    private var codePoints: [UInt32] {
        var points: [UInt32] = []
        for byte in bytes {
            switch byte {
            case 0x80..<0xC0: points[points.count - 1] = points[points.count - 1] << 6 | UInt32(byte & 0x3F)
            case 0xC0..<0xE0: points.append(UInt32(byte & 0x1F))
            case 0xE0..<0xF0: points.append(UInt32(byte & 0x0F))
            case 0xF0...: points.append(UInt32(byte & 0x07))
            default: points.append(UInt32(byte))
            }
        }
        return points
    }
}
