import Postgres
import Storage

/// A column of a report, and how its values are shown.
struct ReportColumn {
    private let name: String
    private let kind: ColumnKind

    init(_ name: String, _ kind: ColumnKind) {
        self.name = name
        self.kind = kind
    }

    var model: Templates.Model { ["name": name.replacing("_", with: " "), "isNumber": kind == .number] }

    func cell(_ value: TableValue) -> Templates.Model {
        let text = value.text
        var cell: Templates.Model = [
            "text": written(text), "isNumber": kind == .number, "isShort": text.count <= Self.shortest,
            "isLong": text.count > Self.longest, "isHash": false,
            "title": false, "link": false,
        ]
        switch name {
        case _ where value == .null: cell["text"] = "–"
        case "key", "first_key": cell["link"] = Pages.href(ofKey: text)
        case "sha512":
            cell["link"] = "\(PageRoute.root)/blob/\(text)"
            cell["isHash"] = true
        case "entry_id": cell["link"] = "\(PageRoute.root)/entry/\(text)"
        case _ where text.count >= Self.longHash && text.allSatisfy(\.isHexDigit): cell["isHash"] = true
        default: break
        }
        if cell["isHash"] as? Bool == true { cell["title"] = text }
        if kind == .time, value != .null { cell["title"] = text }
        if isBytes, let bytes = Int(text) { cell["title"] = Format.plural(bytes, "byte", "bytes") }
        return cell
    }

    private func written(_ text: String) -> String {
        switch kind {
        case .number where name == "entry_id": text
        case .number: Int(text).map(isBytes ? Format.bytes : Format.count) ?? text
        case .truth: text == "t" ? "yes" : "no"
        case .list: Self.elements(text).map { $0.shown() }.joined(separator: ", ")
        // To the second; all pages have a footer that they are in UTC.
        case .time: String(text.prefix(19))
        case .other: text.shown()
        }
    }

    private var isBytes: Bool { kind == .number && (name.hasSuffix("_bytes") || Self.sizes.contains(name)) }

    private static let sizes = ["bytes", "size", "allocated", "bytes_limit", "blob_size_limit"]

    /// Of an array of texts as PostgreSQL writes it: between braces and commas, where need be in quotes, with a
    /// backslash before what would end them.
    static func elements(_ array: String) -> [String] {
        var elements: [String] = []
        var (element, isQuoted, isEscaped) = (String.UnicodeScalarView(), false, false)
        for scalar in array.unicodeScalars.dropFirst().dropLast() {
            if isEscaped {
                element.append(scalar)
                isEscaped = false
            } else if scalar == "\\" {
                isEscaped = true
            } else if scalar == "\"" {
                isQuoted.toggle()
            } else if scalar == "," && !isQuoted {
                elements.append(String(element))
                element = .init()
            } else {
                element.append(scalar)
            }
        }
        return array.utf8.count > 2 ? elements + [String(element)] : []
    }

    /// Digits, from which on a hash is shown by its beginning.
    private static let longHash = 32

    /// Characters, beyond which a text gets a wide column, or its row would be very high.
    private static let longest = 120

    /// Characters, with which a day or a time stays on one line.
    private static let shortest = 30
}
