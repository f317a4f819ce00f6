import OpenSSL
import ShaCache

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
