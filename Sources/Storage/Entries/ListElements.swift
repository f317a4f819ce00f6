import ShaCache

/// The elements of a JSON list, one at a time: a tree of them all takes many times the list's bytes. Of these, only brackets,
/// commas and quotes are looked at: what an element is, and whether it is JSON at all, remains to be seen.
struct ListElements: IteratorProtocol {
    private let list: [UInt8]
    /// Of the next element, or what stands in its place.
    private var start = 0
    /// Whether its end was reached, and nothing follows it.
    private(set) var isWhole = false
    private var isFirst = true

    /// - Throws: `Refusal` when it is none.
    init(_ list: [UInt8]) throws(Refusal) {
        self.list = list
        guard let bracket = list.firstIndex(where: { !$0.isJSONSpace }), list[bracket] == UInt8(ascii: "[") else {
            throw .malformedEntry("this is no list of pairs")
        }
        start = bracket + 1
    }

    struct Element {
        let bytes: ArraySlice<UInt8>
        /// Brackets, braces and commas in it, but for those in strings.
        let marks: Int
    }

    /// - Returns: nil behind the last one, and where the list is cut.
    mutating func next() -> Element? {
        guard !isWhole else { return nil }
        var (position, depth, marks, isInString) = (start, 0, 0, false)
        while position < list.count {
            let byte = list[position]
            switch byte {
            case UInt8(ascii: "\\") where isInString: position += 1
            case UInt8(ascii: "\""): isInString.toggle()
            case _ where isInString: break
            case UInt8(ascii: "["), UInt8(ascii: "{"): (depth, marks) = (depth + 1, marks + 1)
            case UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: ","):
                if depth == 0, byte != UInt8(ascii: "}") { return end(at: position, marks) }
                if byte != UInt8(ascii: ",") { depth -= 1 }
                marks += 1
            default: break
            }
            position += 1
        }
        return nil
    }

    private mutating func end(at position: Int, _ marks: Int) -> Element? {
        let element = Element(bytes: list[start..<position], marks: marks)
        let isLast = list[position] == UInt8(ascii: "]")
        if isLast { isWhole = list[(position + 1)...].allSatisfy(\.isJSONSpace) }
        defer { (start, isFirst) = (isLast ? list.count : position + 1, false) }
        return isLast && isFirst && element.bytes.allSatisfy(\.isJSONSpace) ? nil : element
    }
}

extension UInt8 {
    fileprivate var isJSONSpace: Bool { [0x20, 0x09, 0x0A, 0x0D].contains(self) }
}
