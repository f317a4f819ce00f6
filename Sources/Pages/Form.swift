import ShaCache

/// The fields of a query, as HTML's forms write them (application/x-www-form-urlencoded).
struct Form {
    private let fields: [(name: String, value: String)]

    /// - Parameter query: what follows the question mark. What is not UTF-8 is replaced; what is no escape stays.
    init(_ query: ArraySlice<UInt8>) {
        fields = query.split(separator: UInt8(ascii: "&")).map { field in
            let halves = field.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            return (Self.text(halves[0]), halves.count == 2 ? Self.text(halves[1]) : "")
        }
    }

    private static func text(_ part: ArraySlice<UInt8>) -> String {
        let spaced = part.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }
        // The database takes no text with a zero in it, and would take it for the text's end.
        return String(decoding: percentDecoded(spaced) ?? spaced, as: UTF8.self).replacing("\0", with: "\u{FFFD}")
    }

    /// The first field of this name; nil when it is empty, as a field is that was left empty.
    subscript(name: String) -> String? {
        fields.first { $0.name == name && !$0.value.isEmpty }?.value
    }
}
