import HTTP
import ShaCache

/// Where a source archive comes from when no cache has it.
public struct Origin: Sendable {
    let url: String
    let item: String
    let reporter: Reporter

    public init(url: String, item: String, reporter: Reporter) {
        self.url = url
        self.item = item
        self.reporter = reporter
    }

    /// What was fetched, while it can still be read, wherever it was delivered to.
    public struct Fetched {
        let file: OpenFile
    }

    /// Delivers what the origin has. Its bytes are checked against nothing but their number.
    ///
    /// - Throws: `OriginFailure`, `SystemFailure`.
    public func fetch(to destination: Destination) throws -> Fetched {
        let place = try GatheringPlace(for: destination)
        do {
            try fetch(into: GrowingFile(empty: place.file))
            try place.deliver()
            return Fetched(file: place.file)
        } catch {
            place.discard()
            throw error
        }
    }

    /// Bytes that others read already can't be taken back: what is cut off goes on where it was, or fails.
    ///
    /// - Throws: `OriginFailure`.
    func fetch(into file: GrowingFile) throws {
        let visit = Visit(origin: self, file: file)
        var doneBefore = 0
        let retry = Retry(limit: 2, reporter: reporter)
        do {
            let response = try retry(
                hasProgressed: {
                    defer { doneBefore = visit.done }
                    return visit.done > doneBefore
                }, visit.send)
            guard response.head.isSuccess else {
                throw OriginFailure(description: "\(withoutCredentials(url)): \(response.status) \(response.words)")
            }
        } catch let failure as HTTPFailure {
            throw OriginFailure(description: failure.description)
        }
    }

    /// The requests that it takes to get all of it.
    private final class Visit {
        private let origin: Origin
        private let file: GrowingFile
        private let session = Session(agent: "shacache")
        /// In bytes.
        private(set) var done = 0
        /// What tells whether the rest is that of the same file (RFC 9110, 13.1.5).
        private var validator: String?

        init(origin: Origin, file: GrowingFile) {
            self.origin = origin
            self.file = file
        }

        func send() throws -> Response {
            var request = Request(.get, origin.url)
            request.redirectLimit = 10
            if done > 0, let validator {
                request.headers = [("Range", "bytes=\(done)-"), ("If-Range", validator)]
            }
            let start = done
            return try session.send(request) { head, bytes in
                guard self.done > start || (head.rangeStart ?? 0) == start else {
                    throw OriginFailure(
                        description: "\(withoutCredentials(self.origin.url)): was cut off in the middle")
                }
                try self.take(bytes, head, start: start)
            }
        }

        private func take(_ bytes: UnsafeRawBufferPointer, _ head: Head, start: Int) throws {
            if done == 0 {
                let tag = head["etag"].flatMap { $0.hasPrefix("W/") ? nil : $0 }
                validator = tag ?? head["last-modified"]
            }
            try file.append(bytes)
            done += bytes.count
            let size = head.contentLength.flatMap { start.addingReportingOverflow($0).overflow ? nil : start + $0 }
            origin.reporter.progress(Progress(item: origin.item, step: .fetching, done: done, total: size))
        }
    }
}

/// The origin didn't give what was asked of it. It is not the cache's fault.
public struct OriginFailure: Error, CustomStringConvertible {
    public let description: String
}
