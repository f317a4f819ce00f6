/// A question that the database answers: a view of the schema `report`, and what the programs know of it. Declared once,
/// in `Report.all`; its SQL is in sql/report.
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
