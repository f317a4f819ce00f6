import Foundation

/// A question that the database answers: a view of the schema `report`, and what the programs know of it. Declared
/// once, in `Report.all`; its SQL is in sql/report.
public struct Report: Sendable {
    /// Of the view.
    public let name: String
    public let question: String
    /// What it can be asked for; else the answer would be to another question than was asked.
    public let settings: Set<ReportFilter>
    /// How it obeys a setting, where that isn't plain.
    private let notes: [ReportFilter: String]
    /// What else limits the answer.
    public let limitation: String?
    /// What of each day is drawn.
    public let charts: [DailyFigure]

    init(
        _ name: String, _ question: String, obeys settings: Set<ReportFilter>, _ notes: [ReportFilter: String] = [:],
        limitation: String? = nil, charts: [DailyFigure] = []
    ) {
        self.name = name
        self.question = question
        self.settings = settings
        self.notes = notes
        self.limitation = limitation
        self.charts = charts
    }

    /// The question, and what can be asked for.
    public var help: String {
        let obeyed = ReportFilter.allCases.filter(settings.contains).map { setting in
            notes[setting].map { "\(setting) (\($0))" } ?? "\(setting)"
        }
        return "\(question) Obeys \(obeyed.joined(separator: ", "))\(limitation.map { "; \($0)" } ?? "")."
    }

    public static func named(_ name: String) -> Report? { all.first { $0.name == name } }

    /// Tells programs like psql what each view is for.
    static var comments: String {
        all.map { report in
            "COMMENT ON VIEW report.\(report.name) IS '\(report.help.replacing("'", with: "''"))';\n"
        }.joined()
    }
}

public enum ReportFilter: String, CaseIterable, Sendable {
    /// The first and the last day, in UTC, as `YYYY-MM-DD`.
    case since, until
    /// By its name.
    case account
}

extension Report {
    private static let days: Set<ReportFilter> = [.since, .until]
    private static let everything = Set(ReportFilter.allCases)

    /// By name.
    public static let all: [Report] = [
        Report(
            "account_requests", "Who asks for an account, from where, and what came of it?",
            obeys: everything, [.account: "the name that was asked for"]),
        Report(
            "accounts", "Who may upload, who does, how much, and how much of it is refused?",
            obeys: everything, [.until: "in what was uploaded"]),
        Report(
            "collections", "What did collections hide, remove and free, by which policy?", obeys: days),
        Report(
            "damaged_blobs", "Which blobs were found damaged, and which of them are healed?",
            obeys: everything, [.account: "who uploaded it first"],
            charts: [.count(of: "damaged_blobs", by: "found_at")]),
        Report("downloaded_blobs", "Which blobs are downloaded most?", obeys: everything),
        Report("downloaded_keys", "Which keys are looked up most, and which in vain?", obeys: everything),
        Report(
            "downloads", "How much was downloaded, and how many keys were looked up, on each day (in UTC)?",
            obeys: days, charts: [.sum("requests", of: "downloads", hasKinds: true)]),
        Report(
            "duplicates", "How much did not have to be stored, because we had it already, by day and account?",
            obeys: everything, charts: [.sum("bytes", of: "duplicates")]),
        Report(
            "entries_to_look_into", "Which entries should somebody look into, for something of the last thirty days?",
            obeys: everything, [.since: "in place of the thirty days"],
            charts: [.count(of: "entries_to_look_into", by: "at")]),
        Report(
            "entries_with_credentials", "Which entries publish a URL with a user or a password in it?",
            obeys: everything),
        Report(
            "entries_without_blob",
            "Which entries name a blob that nobody has uploaded (yet), or that was withdrawn?",
            obeys: everything, charts: [.count(of: "entries_without_blob", by: "created_at")]),
        Report(
            "expiring_certificates",
            "Which client certificates expire within sixty days, or did in the last sixty?",
            obeys: [.account], charts: [.count(of: "expiring_certificates", by: "not_after")]),
        Report(
            "fetched_keys", "Of which keys does a near cache list what an upstream said, and how old is that?",
            obeys: days),
        Report(
            "growth", "How does the cache grow from day to day (in UTC)?",
            obeys: everything, charts: [.sum("total_bytes", of: "growth")]),
        Report(
            "imports", "What was brought in from other caches, by whom, and what of it was refused?",
            obeys: everything),
        Report(
            "keys", "Which keys come near the limit of entries that a key may have?",
            obeys: everything,
            [.until: "in its last entry", .account: "who has put one of its entries; all are counted"]),
        Report("largest_blobs", "Which blobs take the most space, and what are they?", obeys: [.account]),
        Report(
            "near_cache",
            "What did clients get of what was fetched from each upstream, on each day (in UTC), and what did it cost?",
            obeys: days, charts: [.sum("sent_bytes", of: "near_cache"), .sum("fetched_bytes", of: "near_cache")]),
        Report(
            "never_downloaded", "Which blobs has nobody downloaded, whole or in part, since they were uploaded?",
            obeys: everything, [.until: "in the upload"]),
        Report(
            "pins", "What do operators keep whatever the retention policies say, and why?", obeys: days),
        Report(
            "platforms", "For which platforms does the binary cache hold how many software releases?",
            obeys: everything),
        // Its own rows are of reasons.
        Report(
            "refusals", "Why were uploads not accepted: what was wrong with them (refused) or with us (failed)?",
            obeys: everything, charts: [.sum("refused", of: "uploads"), .sum("failed", of: "uploads")]),
        Report("signers", "Whose signatures do the uploaded entries carry?", obeys: everything),
        Report(
            "survey_findings", "Which files and rows should somebody look at?",
            obeys: days, [.until: "in the survey"]),
        Report("surveys", "How does the disk fill?", obeys: days),
        Report(
            "unreadable_archives", "Which compiled releases can't be unpacked, so that nodes fail with them?",
            obeys: everything),
        Report(
            "upload", "Who tried to upload what, when, and what came of it?",
            obeys: everything, limitation: "of the months that are kept"),
        Report(
            "uploads", "How much was uploaded on each day (in UTC)?",
            obeys: everything, charts: [.sum("accepted", of: "uploads")]),
        Report(
            "upstream_faults", "What did upstreams give wrong, and when?",
            obeys: days, charts: [.count(of: "upstream_faults", by: "last_at")]),
        Report(
            "usage", "What lies on the disk, as far as the newest survey of each host knows?",
            obeys: days, [.until: "in the survey"]),
        Report(
            "withdrawals", "What was withdrawn, by whom and why, and what of it is shown again?",
            obeys: everything, charts: [.count(of: "withdrawals", by: "at")]),
    ]
}

/// A day of the calendar that people count by, from the year 1 on: one that PostgreSQL takes for a date.
public struct CalendarDay: Sendable {
    /// `YYYY-MM-DD`.
    public let text: String

    public init?(_ text: String) {
        guard let match = text.wholeMatch(of: /([0-9]{4})-([0-9]{2})-([0-9]{2})/), let year = Int(match.1), year > 0
        else { return nil }
        let day = DateComponents(year: year, month: Int(match.2), day: Int(match.3))
        guard day.isValidDate(in: Calendar(identifier: .gregorian)) else { return nil }
        self.text = text
    }
}
