import HTTP
import ShaCache

/// Where a source archive comes from when no cache has it.
public struct Origin: Sendable {
    let url: String
    let item: String
    let allowsInsecureRedirects: Bool
    let reporter: Reporter

    /// How long is waited, in all tries, while nothing or hardly anything comes, in seconds: as the deployed clients do
    /// in one.
    private static let timeout = 60
    /// How often it is begun anew when the rest of what was cut off can't be had.
    private static let beginnings = 3

    /// - Parameter allowsInsecureRedirects: whether redirects may lead from an https URL to http.
    public init(url: String, item: String, allowsInsecureRedirects: Bool, reporter: Reporter) {
        self.url = url
        self.item = item
        self.allowsInsecureRedirects = allowsInsecureRedirects
        self.reporter = reporter
    }

    /// What was fetched, while it can still be read, wherever it was delivered to.
    public struct Fetched {
        let file: SharedFile
    }

    /// Delivers what the origin has. Its bytes are checked against nothing but their number.
    ///
    /// - Throws: `OriginFailure`, `SystemError`, `OverwriteError`.
    public func download(to destination: Destination) throws -> Fetched {
        try beginningAnew {
            let place = try PartialDownload(for: destination)
            do {
                try stream(into: GrowingFile(empty: place.file))
                try place.deliver()
                return Fetched(file: place.file)
            } catch {
                place.discard()
                throw error
            }
        }
    }

    /// Does once more, with an empty file, what ended since the rest of the origin's file can't be had.
    func beginningAnew<Result>(_ work: () throws -> Result) throws -> Result {
        for _ in 1..<Self.beginnings {
            do {
                return try work()
            } catch let failure as OriginFailure where failure.helpsToBeginAnew {
                reporter.note("\(failure); begins anew")
            }
        }
        return try work()
    }

    /// Bytes that others read already can't be taken back: what is cut off goes on where it was, or fails.
    ///
    /// - Throws: `OriginFailure`.
    func stream(into file: GrowingFile) throws {
        let visit = Visit(origin: self, file: file)
        var doneBefore = 0
        let retry = Retry(limit: 2, reporter: reporter)
        do {
            let response = try retry(
                visit.watch,
                hasProgressed: {
                    defer { doneBefore = visit.done }
                    return visit.done > doneBefore
                }, visit.send)
            guard response.head.isSuccess || visit.hasAll(response.head) else {
                throw OriginFailure(shownURL: url, "\(response.status) \(response.words)")
            }
        } catch let failure as HTTPFailure {
            throw OriginFailure(
                description: failure.description,
                hint: failure.kind == .redirect
                    ? "name the URL that it leads to, or say --allow-insecure-redirect: anybody on the way may change what comes"
                    : nil)
        }
    }

    /// The requests that it takes to get all of it.
    private final class Visit {
        let watch = SilenceWatch(limit: Origin.timeout)
        private let origin: Origin
        private let file: GrowingFile
        private let session = HTTPSession(agent: "shacache")
        /// In bytes.
        private(set) var done = 0
        /// The answer that the first bytes came with: what follows must be of the same file.
        private var first: Head?

        init(origin: Origin, file: GrowingFile) {
            self.origin = origin
            self.file = file
        }

        func send() throws -> HTTPResponse {
            var request = HTTPRequest(.get, origin.url)
            request.redirectLimit = 10
            request.allowsInsecureRedirects = origin.allowsInsecureRedirects
            request.watch = watch
            guard done == 0 || first?.validator != nil else { throw cutOff }
            return try get(request, from: done)
        }

        private var cutOff: OriginFailure {
            OriginFailure(
                shownURL: origin.url, "was cut off in the middle, and the rest can't be had", helpsToBeginAnew: true)
        }

        private func get(_ request: HTTPRequest, from start: Int) throws -> HTTPResponse {
            let begun = done
            let response = try session.getFile(
                request, from: start, of: first?.contentLength, ifUnchanged: first?.validator
            ) {
                head, part, bytes in
                if self.done == begun { try self.check(head, part) }
                try self.file.append(bytes)
                self.done += bytes.count
                self.origin.reporter.progress(
                    Progress(item: self.origin.item, step: .fetching, done: self.done, total: part.size))
            }.response
            origin.reporter.note("GET \(withoutCredentials(origin.url)): \(response.status)")
            return response
        }

        /// Before the first bytes of an answer are taken.
        private func check(_ head: Head, _ part: Part) throws {
            if let encoding = head.foreignEncoding(of: origin.url) {
                throw OriginFailure(
                    shownURL: origin.url,
                    "answers with Content-Encoding: \(encoding): these are not the file's own bytes")
            }
            guard let first, done > 0 else { return begin(head) }
            let size = first.contentLength
            guard part.start == done, head.validator == first.validator, part.size ?? size == size ?? part.size else {
                throw cutOff
            }
        }

        private func begin(_ head: Head) {
            first = head
            guard head.endsWithConnection, !HTTPRequest(.get, origin.url).isSecure else { return }
            origin.reporter.warn(
                "\(withoutCredentials(origin.url)): says no length: nothing shows whether all of it came")
        }

        /// Whether nothing is behind what came: an answer without a length may have been cut at its very end.
        func hasAll(_ head: Head) -> Bool { done > 0 && head.sizeWithoutPart == done }
    }
}

extension Head {
    /// What tells whether the rest is that of the same file (RFC 9110, 13.1.5): a date only when the file can't have
    /// changed again within the second.
    fileprivate var validator: String? {
        if let tag = self["etag"] { return tag.hasPrefix("W/") ? nil : tag }
        guard let modified = date("last-modified"), let now = date("date"), modified < now else { return nil }
        return self["last-modified"]
    }

    /// How the bytes differ from the file's; nil when they don't. Some servers say gzip where they mean that the file
    /// is one.
    fileprivate func foreignEncoding(of url: String) -> String? {
        guard let encoding = self["content-encoding"], !["", "identity"].contains(encoding.lowercased()) else {
            return nil
        }
        let endings = ["gz", "tgz", "svgz", "bz2", "tbz", "xz", "txz", "zst", "br", "z", "taz", "lzma"]
        let name = Source.baseName(ofURL: url).lowercased()
        return endings.contains { name.hasSuffix(".\($0)") } ? nil : encoding
    }
}

/// The origin didn't give what was asked of it. It is not the cache's fault.
public struct OriginFailure: HasHint, CustomStringConvertible {
    public let description: String
    public var hint: String?
    /// Whether another beginning may come to the end.
    var helpsToBeginAnew = false
}

extension OriginFailure {
    fileprivate init(shownURL url: String, _ reason: String, helpsToBeginAnew: Bool = false) {
        self.init(description: "\(withoutCredentials(url)): \(reason)", helpsToBeginAnew: helpsToBeginAnew)
    }
}
