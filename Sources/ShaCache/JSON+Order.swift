/// How one value stands to another.
public enum Ordering: Sendable {
    case less, equal, greater
}

/// Python's comparisons of what `json.loads` returns.
extension JSON {
    /// Python's `==`, which any two values have. NaN equals nothing.
    public func equals(_ other: JSON) -> Bool {
        switch (self, other) {
        case (.null, .null): return true
        case (.string(let one), .string(let other)): return one.bytes == other.bytes
        case (.array(let elements), .array(let others)):
            return elements.count == others.count && zip(elements, others).allSatisfy { $0.isSame(as: $1) }
        case (.object(let members), .object(let others)): return Self.equal(members, others)
        default:
            guard let one = number, let other = other.number else { return false }
            return PythonNumber.order(one, other) == .equal
        }
    }

    /// What counts between the elements of two lists: Python compares an object with itself no further, and its
    /// reader makes one object of every NaN.
    private func isSame(as other: JSON) -> Bool {
        if case .number("NaN") = self, case .number("NaN") = other { return true }
        return equals(other)
    }

    /// The order that `<` and `>` go by.
    ///
    /// - Returns: nil between numbers of which one is NaN, where each of them is false.
    /// - Throws: `Unordered` where Python raises TypeError.
    public func order(_ other: JSON) throws(Unordered) -> Ordering? {
        switch (self, other) {
        case (.string(let one), .string(let other)): return Self.order(one.bytes, other.bytes)
        case (.array(let elements), .array(let others)):
            for (one, other) in zip(elements, others) where !one.isSame(as: other) { return try one.order(other) }
            return Self.order(elements.count, others.count)
        default:
            guard let one = number, let other = other.number else { throw Unordered() }
            return PythonNumber.order(one, other)
        }
    }

    /// Two values that no `<` holds between, nor its opposite: a number and a text, say.
    public struct Unordered: Error {}

    /// True and False are 1 and 0.
    private var number: PythonNumber? {
        switch self {
        case .bool(let value): PythonNumber(value ? "1" : "0")
        case .number(let literal): PythonNumber(literal)
        default: nil
        }
    }

    private static func order<Value: Comparable>(_ one: Value, _ other: Value) -> Ordering {
        one < other ? .less : one == other ? .equal : .greater
    }

    /// UTF-8 sorts as the code points do, which is how Python sorts.
    private static func order(_ one: [UInt8], _ other: [UInt8]) -> Ordering {
        one == other ? .equal : one.lexicographicallyPrecedes(other) ? .less : .greater
    }

    private static func equal(_ members: [(name: Text, value: JSON)], _ others: [(name: Text, value: JSON)]) -> Bool {
        func last(_ members: [(name: Text, value: JSON)]) -> [[UInt8]: JSON] {
            Dictionary(members.map { ($0.name.bytes, $0.value) }) { $1 }
        }
        let (one, other) = (last(members), last(others))
        return one.count == other.count && one.allSatisfy { name, value in other[name]?.isSame(as: value) ?? false }
    }
}
