import Postgres
import Storage

extension Pages {
    func reports(_ view: View) throws -> PageAnswer {
        guard view.visitor.isOperator else { return closed(view) }
        let waiting = try AccountRequests(session).countWaiting()
        return render(
            "reports", title: "Reports", view,
            [
                "reports": Report.all.map(\.model), "haveRequests": waiting > 0,
                "requests": waiting == 1 ? "1 request for an account waits" : "\(waiting) requests for accounts wait",
            ])
    }

    func report(_ name: String, _ form: Form, _ view: View) throws -> PageAnswer {
        guard view.visitor.isOperator else { return closed(view) }
        guard let report = Report.named(name) else {
            return message(.nothingHere, view)
        }
        guard let settings = form.settings(of: report) else { return message(.noSuchDay, view) }
        do {
            return try answer(report, settings, view)
        } catch AdministrationError.unknown {
            return message(.noSuchAccount, view)
        }
    }

    private func answer(_ report: Report, _ settings: [ReportFilter: String], _ view: View) throws -> PageAnswer {
        var tables: [Table] = []
        try answers.read(report, asking: settings, limit: Self.rowsShown + 1, asJSON: false) { tables.append($0) }
        // The last batch is an empty one, which tells of the columns as any.
        let (columns, rows) = (
            zip(tables[0].columns, tables[0].kinds).map { ReportColumn($0, $1) }, tables.flatMap(\.rows)
        )
        let shown = rows.prefix(Self.rowsShown)
        var model = report.model
        model["settings"] = filterModels(report.settings, as: settings)
        model["hasSettings"] = !report.settings.isEmpty
        model["columns"] = columns.map(\.model)
        model["rows"] = shown.map { row in ["cells": zip(columns, row).map { $0.cell($1) }] }
        model["count"] = Format.plural(shown.count, "row", "rows")
        if rows.count > Self.rowsShown { model["command"] = Self.command(for: report, settings) }
        model["isEmpty"] = shown.isEmpty
        let charts = try charts(of: report, settings)
        model["charts"] = charts.drawn
        return render("report", title: report.title, view, model).caused(by: charts.failure)
    }

    /// The fields of a form, with what was asked for in them.
    private func filterModels(_ obeyed: Set<ReportFilter>, as settings: [ReportFilter: String]) -> [Templates.Model] {
        ReportFilter.allCases.filter(obeyed.contains).map { setting in
            [
                "name": setting.rawValue, "label": setting.rawValue.capitalisedFirst, "value": settings[setting] ?? "",
                "kind": setting == .account ? "text" : "date",
            ]
        }
    }

    private static let rowsShown = 200
    private static let daysDrawn = 366

    /// From all of its days, however few of them the table shows. None, and the reason for the log, when they can't be
    /// drawn in time: the table is there.
    private func charts(
        of report: Report, _ settings: [ReportFilter: String]
    ) throws -> (drawn: [Templates.Model], failure: String?) {
        do {
            let drawn = try report.charts.flatMap { figure in
                Chart.charts(of: figure, try answers.days(of: figure, asking: settings, most: Self.daysDrawn))
            }
            return (drawn.map(\.model), nil)
        } catch let error as DatabaseError where error.tookTooLong {
            return ([], "\(error)")
        }
    }

    /// What shows all rows, to be copied.
    private static func command(for report: Report, _ settings: [ReportFilter: String]) -> String {
        let options = ReportFilter.allCases.compactMap { setting in
            settings[setting].map { " --\(setting.rawValue) \($0)" }
        }
        return "shacache-admin report \(report.name.replacing("_", with: "-"))\(options.joined()) --format csv"
    }

    /// For visitors who aren't operators: how to become one for this page.
    private func closed(_ view: View) -> PageAnswer {
        var model: Templates.Model = [
            "isPlain": !view.request.isSecure,
            "secure": SiteAddress(site, view.request).uploads + "\(PageRoute.root)/reports",
        ]
        if case .refused(let reason) = view.visitor { model["reason"] = reason.shown() }
        return render("closed", .forbidden, title: "For operators", view, model)
    }
}

extension Report {
    fileprivate var title: String { name.replacing("_", with: " ").capitalisedFirst }

    fileprivate var model: Templates.Model {
        ["name": title, "question": asked, "href": "\(PageRoute.root)/report/\(name)"]
    }

    /// Without the settings, for which a page has fields.
    private var asked: String { question + (limitation.map { " \($0.capitalisedFirst)." } ?? "") }
}

extension String {
    var capitalisedFirst: String { prefix(1).uppercased() + dropFirst() }
}

extension Form {
    /// What a report is asked for; nil when a day is none.
    fileprivate func settings(of report: Report) -> [ReportFilter: String]? {
        var settings: [ReportFilter: String] = [:]
        for setting in report.settings {
            guard let value = self[setting.rawValue] else { continue }
            guard setting == .account || CalendarDay(value) != nil else { return nil }
            settings[setting] = value
        }
        return settings
    }
}
