extension Request {
    /// How many bytes of a blob nginx sends for this request, as its range filter reads Range: where no range fits,
    /// none (416), and where they come to more than the whole, the whole.
    func lengthToSend(of size: Int) -> Int {
        guard method != "HEAD" else { return 0 }
        // An If-Range that is left here doesn't hold.
        guard range.lowercased().hasPrefix("bytes="), ifRange.isEmpty else { return size }
        var length = 0
        for item in range.dropFirst("bytes=".count).split(separator: ",", omittingEmptySubsequences: false) {
            guard let part = Self.part(item.filter { $0 != " " }, of: size) else { return 0 }
            length += part.count
        }
        return min(length, size)
    }

    /// - Returns: nil when it is no range at all.
    private static func part(_ text: String, of size: Int) -> Range<Int>? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, ends.allSatisfy({ $0.allSatisfy(\.isWholeNumber) }) else { return nil }
        switch (Int(ends[0]), Int(ends[1])) {
        case (let start?, let last): return start..<max(start, min(last ?? size, size - 1) + 1)
        case (nil, let count?): return max(0, size - count)..<size
        case (nil, nil): return nil
        }
    }
}
