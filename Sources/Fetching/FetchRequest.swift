import FastCGI
import ShaCache

/// One request: of a client, which a worker handed on since it lacks what is asked for, or of `shacache-admin mirror`.
struct FetchRequest {
    let route: FetchRoute
    let isHead: Bool
    let range: String
    let ifRange: String
    let loop: CacheLoop
    let clientAddress: String
    let requestID: String
    /// Whether the operator limits how much this address may ask for.
    let isLimited: Bool

    /// Every parameter that `fetch.conf` sets.
    ///
    /// - Returns: nil when neither can have asked for this.
    init?(_ source: borrowing FastCGIRequest) {
        guard let route = FetchRoute(path: source.text("FETCH")) else { return nil }
        self.route = route
        isHead = source.text("REQUEST_METHOD") == "HEAD"
        range = source.text("RANGE")
        ifRange = source.text("IF_RANGE")
        loop = CacheLoop(source.text("CDN_LOOP"))
        clientAddress = source.text("REMOTE_ADDR")
        requestID = source.text("REQUEST_ID")
        isLimited = !source.text("LIMITED").isEmpty
    }
}

/// Which bytes of a blob are asked for.
enum ByteRange: Equatable {
    case whole
    case part(Range<Int>)
    case unsatisfiable

    /// - Parameters:
    ///   - text: the header Range; one that can't be read, or asks for several ranges, counts as none (RFC 9110, 14.2).
    ///   - size: of the blob, in bytes.
    init(_ text: String, of size: Int) {
        // Most have none, and a regular expression costs more than all else that is done to send something small.
        guard !text.isEmpty,
            let match = text.wholeMatch(of: /bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*/.ignoresCase())
        else {
            self = .whole
            return
        }
        switch (Int(match.1), Int(match.2)) {
        case (nil, nil): self = .whole
        case (nil, let last?): self = last == 0 || size == 0 ? .unsatisfiable : .part(max(0, size - last)..<size)
        case (let first?, let last):
            if let last, last < first {
                self = .whole
            } else if first >= size {
                self = .unsatisfiable
            } else {
                self = .part(first..<min(size, (last ?? size - 1) + 1))
            }
        }
    }
}
