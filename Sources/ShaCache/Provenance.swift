/// What of a key's list another cache has said, and when.
public struct Provenance: Sendable, Equatable {
    /// Of the upstream, in the configuration.
    public let upstream: String
    /// Since it said so, in seconds.
    public let age: Int
    /// Which of the pairs only it has: their numbers in the list, from 1 on, in ascending order.
    public private(set) var numbers: [ClosedRange<Int>] = []

    private static let headerName = "X-ShaCache-Fetched"
    /// In characters: nginx has little room for headers. What is longer is left out.
    private static let numbersLimit = 1000

    public init(upstream: String, age: Int) { (self.upstream, self.age) = (upstream, age) }

    /// - Parameter number: of the next pair that only the upstream has.
    public mutating func add(_ number: Int) {
        if let last = numbers.last, last.upperBound + 1 == number {
            numbers[numbers.count - 1] = last.lowerBound...number
        } else {
            numbers.append(number...number)
        }
    }

    /// How many of the pairs only it has.
    public var entries: Int { numbers.reduce(0) { $0 + $1.count } }

    /// As a near cache tells it to clients: `"far"; age=12; entries=3; numbers="1-2,5"` (structured fields, RFC 9651).
    fileprivate var header: (name: String, value: String) {
        // A text in a header has no other characters.
        let name = upstream.filter { $0.isASCII && $0 >= " " && !"\"\\\u{7F}".contains($0) }
        let list = numbers.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
            .joined(separator: ",")
        let isShort = list.count <= Self.numbersLimit
        return (
            Self.headerName,
            "\"\(name)\"; age=\(age); entries=\(entries)" + (isShort && !list.isEmpty ? "; numbers=\"\(list)\"" : "")
        )
    }

    /// What a near cache has told with a list.
    ///
    /// - Parameter header: its value, by a header's name in lower case.
    /// - Returns: nil when nothing of the list was fetched, or that can't be read.
    public init?(header: (String) -> String?) {
        guard let text = header(Self.headerName.lowercased()),
            let match = text.wholeMatch(of: /"([^"\\]*)"; age=([0-9]+); entries=[0-9]+(?:; numbers="([0-9,-]+)")?/),
            let age = Int(match.2)
        else { return nil }
        self.init(upstream: String(match.1), age: age)
        for range in (match.3 ?? "").split(separator: ",") {
            let ends = range.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, first <= last else {
                return nil
            }
            numbers.append(first...last)
        }
    }
}

/// The headers of an answer that is a key's list, but for its length: the worker's, and the fetcher's.
///
/// - Parameter provenance: nil: nothing of it was fetched.
public func listHeaders(_ provenance: Provenance?) -> [(name: String, value: String)] {
    [("Content-Type", "application/json"), ("Cache-Control", "no-cache")] + (provenance.map { [$0.header] } ?? [])
}
