import ArgumentParser
import Configuration
import Fetching
import Foundation
import OpenSSL
import Storage

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Say what is there, and what needs somebody.",
        discussion: """
            What this machine hasn't got is left out: the store, the authority's certificate. Exits with 1 when the \
            database or the store can't be used as they are.

            A line on standard error warns of each certificate that expires within \(Certificates.noticeDays) days, with \
            the command against it; of none that is revoked, of a disabled account, or renewed already. A later \
            certificate for another key stops no warning, since it may be another machine's: revoke the one that \
            isn't used any more. Of the authority it warns a year ahead. Of a near cache it warns when shacache-fetcher \
            doesn't answer.
            """)
    @OptionGroup var options: AdminOptions
    @Option(help: "Warn of this one, too: the server's own, in PEM.")
    var serverCertificate: String?

    func run() throws {
        let configuration = try options.configuration()
        let session = Session(configuration.adminDatabase)
        let schema = try Migrations(session).newestApplied() ?? 0
        guard schema >= Migrations.needed else {
            throw CommandError(
                "the database has schema \(schema), not \(Migrations.needed): run shacache-admin migrate")
        }
        let hasStore = FileManager.default.fileExists(atPath: configuration.store.directory)
        let free = hasStore ? try configuration.withStore { try $0.free() } : nil
        let expiring = try Certificates(session).expiring()
        let warnings = try warnings(configuration, of: expiring)
        let asking = configuration.accountRequests.isEnabled ? try AccountRequests(session).countWaiting() : nil
        warnOfUselessAuthority(configuration)
        if hasStore { warnOfFetcher(configuration) }
        try printSummary(
            CacheSummary(session).table().adding([
                ("expiring_within_\(Certificates.noticeDays)_days", .number("\(expiring.count)")),
                ("account_requests_waiting", asking.map { .number("\($0)") }),
                ("authority_not_after", configuration.authorityEnd.map { .text("\(Timestamp($0))") }),
                ("free_bytes", free.map { .number("\($0.bytes)") }),
                ("free_inodes", free.map { .number("\($0.inodes)") }), ("schema", .number("\(schema)")),
            ]), warnings)
        if hasStore {
            try configuration.withStore { try $0.admit(bytes: 0) }
        } else {
            options.report("\(configuration.store.directory): is not on this machine, so nothing is said of the store")
        }
    }

    private func warnings(_ configuration: Configuration, of expiring: [CertificateRecord]) throws -> [ExpiryWarning] {
        let server = try serverCertificate.map { try Certificate(pem: contents(of: $0)).notAfter }
        let ours = [
            configuration.authorityEnd.flatMap(ExpiryWarning.init(ofAuthority:)),
            server.flatMap(ExpiryWarning.init(ofServer:)),
        ]
        return ours.compactMap(\.self) + expiring.map(ExpiryWarning.init(of:))
    }

    /// Of a near cache: without it, what is missing stays so.
    private func warnOfFetcher(_ configuration: Configuration) {
        guard !configuration.upstreams.isEmpty else { return }
        do throws(FetcherAway) { try FetchClient(socket: configuration.fetching.socket).probe() } catch {
            options.report("warning: shacache-fetcher doesn't answer: \(error)")
        }
    }

    /// One that has expired is warned of in any case.
    private func warnOfUselessAuthority(_ configuration: Configuration) {
        guard let end = configuration.authorityEnd, end > Int(Date.now.timeIntervalSince1970) else { return }
        do { _ = try configuration.ca?.check() } catch { options.report("warning: \(error)") }
    }

    private func printSummary(_ summary: Table, _ warnings: [ExpiryWarning]) throws {
        guard !options.json else { return try output(prettyJSON([StatusReport(summary: summary, warnings: warnings)])) }
        for (column, value) in zip(summary.columns, summary.rows[0]) where value != .null {
            try output(column.replacing("_", with: " ") + ": " + value.text)
        }
        for warning in warnings { options.report(warning.line) }
    }
}

/// One object: the summary's columns, and the warnings.
private struct StatusReport: Encodable {
    let summary: Table
    let warnings: [ExpiryWarning]

    func encode(to encoder: any Encoder) throws {
        var members = encoder.singleValueContainer()
        let columns = zip(summary.columns, summary.rows[0]).map { ($0, StatusValue.value($1)) }
        try members.encode(
            Dictionary(uniqueKeysWithValues: columns + [("warnings", StatusValue.warnings(warnings))]))
    }

    private enum StatusValue: Encodable {
        case value(TableValue)
        case warnings([ExpiryWarning])

        func encode(to encoder: any Encoder) throws {
            switch self {
            case .value(let value): try value.encode(to: encoder)
            case .warnings(let warnings): try warnings.encode(to: encoder)
            }
        }
    }
}

extension Configuration {
    /// When the authority's certificate expires, in seconds since 1970; nil where it can't be read.
    fileprivate var authorityEnd: Int? { ca.flatMap { try? Certificate(pem: contents(of: $0.certificate)).notAfter } }
}

extension Table {
    /// The same table with more columns, for a table of one row.
    fileprivate func adding(_ more: [(name: String, value: TableValue?)]) -> Table {
        Table(columns: columns + more.map(\.name), rows: [rows[0] + more.map { $0.value ?? .null }])
    }
}

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
