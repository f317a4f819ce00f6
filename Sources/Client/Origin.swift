import HTTP

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

    /// - Throws: `OriginFailure`.
    func fetch(into file: GrowingFile) throws {
        var request = Request(.get, url)
        request.redirectLimit = 10
        var done = 0
        let retry = Retry(limit: 2, reporter: reporter)
        do {
            let session = Session(agent: "shacache")
            let response = try retry {
                // Bytes that others read already can't be taken back: only a try that brought none is repeated.
                do {
                    return try session.send(request) { head, bytes in
                        try file.append(bytes)
                        done += bytes.count
                        reporter.progress(
                            Progress(item: item, step: .fetching, done: done, total: head.contentLength))
                    }
                } catch let failure as HTTPFailure where done > 0 {
                    throw OriginFailure(description: failure.description)
                }
            }
            guard response.head.isSuccess else {
                throw OriginFailure(description: "\(url): \(response.status) \(response.words)")
            }
        } catch let failure as HTTPFailure {
            throw OriginFailure(description: failure.description)
        }
    }
}

/// The origin didn't give what was asked of it. It is not the cache's fault.
public struct OriginFailure: Error, CustomStringConvertible {
    public let description: String
}
