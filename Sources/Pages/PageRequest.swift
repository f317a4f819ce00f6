import ShaCache

/// One request for a page as nginx hands it on. Texts are empty where the client sent nothing.
public struct PageRequest: Sendable {
    /// As the client sent it, not normalised.
    public var target: [UInt8] = []
    public var host = ""
    public var isSecure = false
    /// nginx's `$ssl_client_verify`: `SUCCESS`, `NONE`, `FAILED:` and why, or empty without TLS.
    public var certificateVerification = ""
    /// nginx's `$ssl_client_escaped_cert`.
    public var certificate: [UInt8] = []
    public var requestID = ""

    public init() {}
}

/// What a request's path and query name.
enum PageRoute {
    case home
    case search(String)
    case key(String, page: Int)
    case entry(Int)
    case blob(Digest)
    case reports
    case report(String, Form)
    /// With the version that is asked for.
    case style(String?)
    case icon(String?)

    static let root = "/-/page"

    /// - Returns: nil when nothing has this path.
    static func find(_ target: [UInt8]) -> PageRoute? {
        let path = target.prefix { $0 != UInt8(ascii: "?") }
        let form = Form(target.dropFirst(path.count + 1))
        if path.elementsEqual("/".utf8) || path.isEmpty { return form.typed.map { .search($0) } ?? .home }
        let text = String(decoding: path, as: UTF8.self)
        guard text.hasPrefix("\(root)/") else { return nil }
        let parts = text.dropFirst(root.count + 1).split(separator: "/", omittingEmptySubsequences: false)
        let name = parts.count == 2 ? String(parts[1]) : ""
        switch parts[0] {
        case "entry": return Int(name).map { .entry($0) }
        case "blob": return Digest(name).map { .blob($0) }
        case "report": return parts.count == 2 ? .report(name, form) : nil
        case _ where parts.count > 1: return nil
        case "key": return form["key"].map { .key($0, page: form.page) }
        case "reports": return .reports
        case "style.css": return .style(form["v"])
        case "icon.svg": return .icon(form["v"])
        default: return nil
        }
    }
}

extension Form {
    /// What is looked for, without spaces around it; nil when nothing is.
    fileprivate var typed: String? {
        let text = self["q"]?.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed()
        return text.map { String($0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Counted from 1.
    fileprivate var page: Int { self["page"].flatMap { Int($0) }.map { min(max($0, 1), 1_000_000) } ?? 1 }
}

/// The fields of a query, as HTML's forms write them (application/x-www-form-urlencoded).
struct Form {
    private let fields: [(name: String, value: String)]

    /// - Parameter query: what follows the question mark. What is not UTF-8 is replaced; what is no escape stays.
    init(_ query: ArraySlice<UInt8>) {
        fields = query.split(separator: UInt8(ascii: "&")).map { field in
            let halves = field.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            return (Self.text(halves[0]), halves.count == 2 ? Self.text(halves[1]) : "")
        }
    }

    private static func text(_ part: ArraySlice<UInt8>) -> String {
        let spaced = part.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }
        // The database takes no text with a zero in it, and would take it for the text's end.
        return String(decoding: percentDecoded(spaced) ?? spaced, as: UTF8.self).replacing("\0", with: "\u{FFFD}")
    }

    /// The first field of this name; nil when it is empty, as a field is that was left empty.
    subscript(name: String) -> String? {
        fields.first { $0.name == name && !$0.value.isEmpty }?.value
    }
}
