import OpenSSL
public import ShaCache

/// What the browser gets, and what the log may know beside.
public struct PageAnswer: Sendable {
    public let status: Status
    public let headers: [(name: String, value: String)]
    public let body: [UInt8]
    /// Why there is no page, or not all of it, for the operator.
    public private(set) var cause: String?

    /// - Parameter isFound: by search engines. They would walk through all that the cache holds.
    init(_ status: Status, type: String, caching: String, isFound: Bool = false, body: String) {
        self.status = status
        self.body = Array(body.utf8)
        let retry = status == .serviceUnavailable ? [("Retry-After", "10")] : []
        headers =
            [("Content-Type", "\(type); charset=utf-8"), ("Cache-Control", caching)] + Self.protection + retry
            + (isFound ? [] : [("X-Robots-Tag", "noindex, nofollow")])
            + [("Content-Length", "\(self.body.count)")]
    }

    func caused(by cause: String?) -> PageAnswer {
        var answer = self
        answer.cause = cause
        return answer
    }

    /// What is shown was sent by strangers: if some of it ever got past the escaping, it still could neither run, nor
    /// load, nor send anything.
    private static let protection = [
        (
            "Content-Security-Policy",
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; "
                + "base-uri 'none'"
        ),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ]
}

/// A message in place of a page.
enum Message: String {
    case nothingHere, tooLong, noSuchAccount, noSuchDay, tookTooLong, databaseAway, broken

    fileprivate var status: Status {
        switch self {
        case .nothingHere, .noSuchAccount: .notFound
        case .tooLong, .noSuchDay: .badRequest
        case .tookTooLong, .databaseAway: .serviceUnavailable
        case .broken: .internalServerError
        }
    }

    fileprivate var heading: String {
        switch self {
        case .nothingHere: "Nothing is here"
        case .tooLong: "That is too long to look for"
        case .noSuchAccount: "There is no such account"
        case .noSuchDay: "There is no such day"
        case .tookTooLong: "This took too long"
        case .databaseAway: "The database is away"
        case .broken: "Something is broken on the server"
        }
    }

    fileprivate var words: String {
        switch self {
        case .nothingHere: "There is nothing under this address, or it was withdrawn."
        case .tooLong: "Keys have at most \(Key.lengthLimit) bytes, and URLs to look for twice as many."
        case .noSuchAccount: "Accounts are called by their names, in full: the report “accounts” lists them."
        case .noSuchDay: "Days are written as YYYY-MM-DD, from the year 1 on."
        case .tookTooLong:
            "The answer was given up, so that looking never slows the cache. Ask for less, or again in a while."
        case .databaseAway: "Nothing can be looked up for the moment. Downloads of blobs go on. Try again in a while."
        case .broken: "Whoever runs it finds the reason in the log."
        }
    }
}

extension Pages {
    func message(_ message: Message, _ view: View, cause: String? = nil) -> PageAnswer {
        let page = render(
            "message", message.status, title: message.heading, view,
            ["heading": message.heading, "words": message.words, "request": view.request.requestID])
        return page.caused(by: cause)
    }

    /// What the site's mark is drawn from.
    var hexOfName: String { hex(Hash.digest(.sha512, of: site.name.utf8)) }
}
