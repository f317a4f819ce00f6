public import Configuration
import HTTP
public import ShaCache
public import Storage

/// The feed of an upstream: what it accepted and withdrew, in the order of its numbers. Only ShaCache servers have one.
public struct UpstreamFeed: Sendable {
    private let server: UpstreamServer

    /// In bytes: a page's megabyte, and one item more, as long as its metadata may be in JSON.
    private static let pageLimit = 16 << 20
    private static let time = Duration.seconds(60)

    /// - Throws: `FeedFailure` when the configuration has no upstream of that name.
    public init(of upstream: String, _ configuration: Configuration) throws(FeedFailure) {
        guard let server = UpstreamServer.all(of: configuration.upstreams).first(where: { $0.name == upstream }) else {
            throw FeedFailure("the configuration has no [[upstream]] named \(upstream)", isPassing: false)
        }
        self.server = server
    }

    public struct Page: Sendable {
        /// The name of the numbering: as long as it is the same, numbers mean the same.
        public let numbering: String
        public let lines: [FeedLine]
    }

    /// - Parameters:
    ///   - number: the last one that is known.
    ///   - most: items.
    /// - Throws: `FeedFailure`.
    public func page(after number: Int, most: Int = Feed.itemLimit) throws(FeedFailure) -> Page {
        let url = "\(server.upstream.feed)?after=\(number)&limit=\(most)"
        let (head, body) = try answer(at: url)
        switch head.status {
        case 200: break
        case 403:
            throw FeedFailure(
                """
                \(url): answers 403: it is for operators: name in the [[upstream]] the certificate and the key of an account \
                with the role operator there, and as feed its https URL (Mirroring, in operate.md)
                """, isPassing: false)
        case 404: throw FeedFailure("\(url): answers 404: this upstream has no feed", isPassing: false)
        default:
            throw FeedFailure("\(url): answers \(head.status)", isPassing: head.status == 429 || head.status >= 500)
        }
        guard let numbering = head["x-shacache-feed"], !numbering.isEmpty else {
            throw FeedFailure("\(url): is no feed: it has no X-ShaCache-Feed", isPassing: false)
        }
        var lines: [FeedLine] = []
        for line in body.split(separator: UInt8(ascii: "\n")) {
            lines.append(FeedLine(Array(line), after: lines.last?.number ?? number))
        }
        // One alone may be a line that can't be read.
        guard lines.isEmpty || most == 1 || lines.last!.number > number else {
            throw FeedFailure("\(url): its numbers don't rise", isPassing: false)
        }
        return Page(numbering: numbering, lines: lines)
    }

    private func answer(at url: String) throws(FeedFailure) -> (Head, [UInt8]) {
        do {
            return try server.text(
                at: url, atMost: Self.pageLimit, within: Self.time, loop: CacheLoop("").passing("shacache-mirror"))
        } catch let failure as UpstreamFailure {
            let isPassing = [.noAnswer, .interrupted].contains(failure.reason)
            throw FeedFailure("\(failure)", isPassing: isPassing)
        } catch {
            throw FeedFailure("\(url): \(error)", isPassing: false)
        }
    }
}

/// A line of the feed, as far as it can be read.
public struct FeedLine: Sendable {
    /// Of a line without a number that can be read, the one before it.
    public let number: Int
    /// Of the line before.
    public let previous: Int
    /// When it was accepted or hidden, in UTC; empty: it doesn't say so. It is to be compared as a text.
    public let time: String
    public let event: Event

    public enum Event: Sendable {
        /// The list of a key changed.
        case key(Key)
        /// A blob is hidden there, or shown again.
        case blobHidden(Digest)
        case blobShown(Digest)
        /// - Parameter reason: why it can't be read.
        case unreadable(reason: String)
    }

    /// - Parameter number: of the line before.
    init(_ bytes: [UInt8], after number: Int) {
        previous = number
        do {
            let item = try JSON(bytes)
            guard case .number(let text) = item["number"], let own = Int(text), own > number else {
                throw UnreadableLine(reason: "its number is no higher one")
            }
            self.number = own
            time = item["at"]?.string ?? ""
            event = Self.event(of: item)
        } catch {
            let reason = (error as? JSON.Malformed)?.reason ?? (error as? UnreadableLine)?.reason ?? "\(error)"
            (self.number, time, event) = (number, "", .unreadable(reason: reason))
        }
    }

    private static func event(of item: JSON) -> Event {
        do {
            if let key = item["key"] {
                guard let text = key.string else { throw UnreadableLine(reason: "its key is no text") }
                return .key(try Key(text))
            }
            guard let digest = item["sha512"]?.string.flatMap({ Digest($0) }) else {
                throw UnreadableLine(reason: "it names neither a key nor a blob")
            }
            switch item["event"]?.string {
            case "blob hidden": return .blobHidden(digest)
            case "blob shown": return .blobShown(digest)
            default: throw UnreadableLine(reason: "its event is unknown")
            }
        } catch {
            return .unreadable(reason: (error as? UnreadableLine)?.reason ?? "\(error)")
        }
    }
}

private struct UnreadableLine: Error {
    let reason: String
}

/// Why there is no page of a feed.
public struct FeedFailure: Error, CustomStringConvertible {
    public let description: String
    /// Whether it helps to ask again later.
    public let isPassing: Bool

    init(_ description: String, isPassing: Bool) { (self.description, self.isPassing) = (description, isPassing) }
}
