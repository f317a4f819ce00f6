/// Which bytes of a file an answer has.
public struct Part: Equatable, Sendable {
    /// Of the first one, counted from 0.
    public let start: Int
    /// Behind the last one; nil where the server gives none.
    public let end: Int?
    /// Of the whole file, in bytes; nil where the server gives none.
    public let size: Int?
}

/// Why an answer with a status of success isn't what a GET asked for.
struct NotTheFile: Error {
    let reason: String
}

extension Head {
    /// Which bytes of the file an answer with a status of success has. Only 200 says that it is the file, and 206, to
    /// a request with Range, that it is a part of it.
    ///
    /// - Parameter start: what the request's Range asked for, from there to the end; 0 where it had none.
    func part(from start: Int) throws(NotTheFile) -> Part {
        switch status {
        case 200: return Part(start: 0, end: contentLength, size: contentLength)
        case 206 where start > 0: return try partialContent(from: start)
        case 206: throw NotTheFile(reason: "206: a part that wasn't asked for")
        default: throw NotTheFile(reason: "\(status): only 200 says that this is the file")
        }
    }

    private func partialContent(from start: Int) throws(NotTheFile) -> Part {
        guard let text = self["content-range"] else { throw NotTheFile(reason: "206 without Content-Range") }
        guard let range = ContentRange(text) else { throw NotTheFile(reason: "206 with Content-Range: \(text)") }
        guard range.start == start else {
            throw NotTheFile(
                reason: "206 with Content-Range: \(text): a part that wasn't asked for, but bytes=\(start)-")
        }
        guard contentLength == nil || contentLength == range.end - range.start else {
            throw NotTheFile(reason: "206 with Content-Range: \(text) and Content-Length: \(contentLength!)")
        }
        return Part(start: range.start, end: range.end, size: range.size)
    }

    /// The file's size, as a server says it that has no such part (416).
    public var sizeWithoutPart: Int? {
        guard status == 416, let text = self["content-range"]?.lowercased(), text.hasPrefix("bytes */") else {
            return nil
        }
        return Int(text.dropFirst(8)).flatMap { $0 >= 0 ? $0 : nil }
    }
}

/// `bytes 5-9/10`, where the size may be unknown (RFC 9110, 14.4).
private struct ContentRange {
    let start: Int
    /// Behind the last byte.
    let end: Int
    let size: Int?

    /// nil when that is none, or contradicts itself.
    init?(_ text: String) {
        guard let match = text.wholeMatch(of: /bytes +([0-9]+)-([0-9]+)\/([0-9]+|\*)/.ignoresCase()),
            let start = Int(match.1), let last = Int(match.2), start <= last, last < .max
        else { return nil }
        self.start = start
        end = last + 1
        size = Int(match.3)
        guard match.3 == "*" || size.map({ end <= $0 }) == true else { return nil }
    }
}
