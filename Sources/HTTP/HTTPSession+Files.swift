extension HTTPSession {
    /// Gets a file, or what of it isn't there yet.
    ///
    /// - Parameters:
    ///   - start: how many of its bytes are there, from the first one on.
    ///   - size: all of its bytes, where it is known; a part that doesn't say so is of that.
    ///   - validator: the ETag, or the date, of the file that they are of; nil where any answer is of the same.
    ///   - receive: called with the bytes, a piece at a time, and which part of the file they belong to: from `start`
    ///     on, or all of it.
    /// - Returns: the answer, error statuses too, and of what part of the file it was.
    /// - Throws: `HTTPFailure` `.notTheFile` when an answer with a status of success isn't it, `.interrupted` when it
    ///   ended before the part did, or the part before the file; and what `receive` threw.
    public func getFile(
        _ request: HTTPRequest, from start: Int = 0, of size: Int? = nil, ifUnchanged validator: String? = nil,
        receive: @escaping (Head, Part, UnsafeRawBufferPointer) throws -> Void
    ) throws -> (response: HTTPResponse, part: Part?) {
        var request = request
        if start > 0 {
            request.headers.append(("Range", "bytes=\(start)-"))
            if let validator { request.headers.append(("If-Range", validator)) }
        }
        // Otherwise any encoding is as good as none.
        request.headers.append(("Accept-Encoding", "identity"))
        let url = request.shownURL
        var part: Part?
        var end = 0
        func begin(_ head: Head) throws -> Part {
            do throws(NotTheFile) {
                return try head.part(from: start)
            } catch {
                throw HTTPFailure(.notTheFile, "\(url): answers \(error.reason)")
            }
        }
        let response = try send(request) { head, bytes in
            let known = try part ?? begin(head)
            if part == nil { (part, end) = (known, known.start) }
            end += bytes.count
            guard end <= known.end ?? .max else {
                throw HTTPFailure(.notTheFile, "\(url): sent more than the \(known.end!) bytes that it had named")
            }
            try receive(head, known, bytes)
        }
        guard response.head.isSuccess else { return (response, nil) }
        // Of an answer without a body, nothing was received.
        let known = try part ?? begin(response.head)
        end = max(end, known.start)
        let whole = known.size ?? (known.start > 0 ? size : nil) ?? known.end ?? end
        guard end == known.end ?? end, end == whole else {
            throw HTTPFailure(.interrupted, "\(url): sent \(end) of \(whole) bytes")
        }
        return (response, known)
    }
}

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
