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
