import Configuration
import Foundation
import OpenSSL
import Storage

/// A certificate that ends soon, and what to do about it.
struct ExpiryWarning: Encodable {
    private let what: String
    private let account: String?
    private let fingerprint: String?
    private let notAfter: String
    private let daysLeft: Int
    private let advice: String

    private enum CodingKeys: String, CodingKey {
        case what, account, fingerprint, advice
        case notAfter = "not_after"
        case daysLeft = "days_left"
    }

    private init(what: String, account: String? = nil, fingerprint: String? = nil, notAfter: Int, advice: String) {
        self.what = what
        self.account = account
        self.fingerprint = fingerprint
        self.notAfter = "\(Timestamp(notAfter))"
        self.advice = advice
        daysLeft = Self.daysLeft(until: notAfter)
    }

    private static func daysLeft(until time: Int) -> Int {
        Int(((Double(time) - Date.now.timeIntervalSince1970) / 86_400).rounded(.down))
    }

    /// For one line on a terminal.
    var line: String {
        let whose = account.map { " of \($0)" } ?? ""
        let which = fingerprint.map { " \($0.prefix(12))" } ?? ""
        let when = daysLeft < 0 ? "has expired" : "expires in \(daysLeft) days"
        return "warning: \(what)\(which)\(whose) \(when): \(advice)"
    }

    init(of record: CertificateRecord) {
        let account = record.account
        self.init(
            what: "certificate", account: account, fingerprint: record.fingerprint, notAfter: record.notAfter,
            advice: record.origin == .registered
                ? "shacache-admin certificate register \(account) NEXT.crt"
                : "shacache-admin certificate renew \(record.fingerprint.prefix(12)) --out \(account).crt")
    }

    /// A year ahead: from then on, what the authority makes gets less time than it would by default.
    init?(ofAuthority end: Int) {
        guard Self.daysLeft(until: end) < 365 else { return nil }
        self.init(
            what: "the authority", notAfter: end,
            advice: "make the next one: /usr/share/doc/shacache/operate.md#renewing-the-authority")
    }

    init?(ofServer end: Int) {
        guard Self.daysLeft(until: end) < Certificates.noticeDays else { return nil }
        self.init(
            what: "the server's certificate", notAfter: end,
            advice: "replace it, then nginx -t && systemctl reload nginx")
    }
}
