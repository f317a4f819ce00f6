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
