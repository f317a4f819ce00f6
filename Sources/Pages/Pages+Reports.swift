import Storage

extension Pages {
    func reports(_ view: View) throws -> PageAnswer {
        guard view.visitor.isOperator else { return closed(view) }
        return render("reports", title: "Reports", view, ["reports": try catalog.reports().map(\.model)])
    }

    func report(_ name: String, _ form: Form, _ view: View) throws -> PageAnswer {
        guard view.visitor.isOperator else { return closed(view) }
        guard let report = try catalog.reports().first(where: { $0.name == name }) else {
            return message(404, .nothingHere, view.request)
        }
        let settings = form.settings(of: report)
        var tables: [Table] = []
        try catalog.read(report, asking: settings, limit: Self.rowsShown, asJSON: false) { tables.append($0) }
        let table = Table(columns: tables.first?.columns ?? [], rows: tables.flatMap(\.rows))
        var model = report.model
        model["settings"] = Report.Setting.allCases.filter(report.settings.contains).map { setting in
            [
                "name": setting.rawValue, "label": setting.rawValue.capitalisedFirst, "value": settings[setting] ?? "",
                "kind": setting == .account ? "text" : "date",
            ]
        }
        model["hasSettings"] = !report.settings.isEmpty
        model["columns"] = table.columns.map { $0.replacing("_", with: " ") }
        model["rows"] = table.rows.map { row in ["cells": zip(table.columns, row).map(Self.cell)] }
        model["count"] = Amounts.plural(table.rows.count, "row", "rows")
        model["isCut"] = table.rows.count == Self.rowsShown
        model["isEmpty"] = table.rows.isEmpty
        if let chart = Chart(table) { model["charts"] = [chart.model] }
        return render("report", title: report.title, view, model)
    }

    private static let rowsShown = 200

    private static func cell(_ column: String, _ value: Table.Value) -> Templates.Model {
        switch value {
        case .null: ["text": "–", "isNumber": false]
        case .number(let text) where column == "entry_id":
            ["text": text, "link": "\(PageRoute.root)/entry/\(text)", "isNumber": true]
        case .number(let text):
            ["text": Int(text).map(Amounts.count) ?? text, "isNumber": true]
        case .text(let text):
            switch column {
            case "key", "first_key": ["text": text.shown(), "link": href(ofKey: text), "isNumber": false]
            case "sha512": ["text": text, "link": "\(PageRoute.root)/blob/\(text)", "isNumber": false, "isHash": true]
            default: ["text": text.shown(), "isNumber": false]
            }
        }
    }

    /// For whom these pages are not, and how he would get in.
    private func closed(_ view: View) -> PageAnswer {
        var model: Templates.Model = [
            "isPlain": !view.request.isSecure,
            "secure": SiteAddress(site, view.request).uploads + "\(PageRoute.root)/reports",
        ]
        if case .refused(let reason) = view.visitor { model["reason"] = reason.shown() }
        return render("closed", 403, title: "For operators", view, model)
    }
}

extension Report {
    fileprivate var title: String { name.replacing("_", with: " ").capitalisedFirst }

    fileprivate var model: Templates.Model {
        ["name": title, "question": question, "href": "\(PageRoute.root)/report/\(name)"]
    }
}

extension String {
    var capitalisedFirst: String { prefix(1).uppercased() + dropFirst() }
}

extension Form {
    /// What a report is asked for, as far as it makes sense: days are YYYY-MM-DD.
    fileprivate func settings(of report: Report) -> [Report.Setting: String] {
        var settings: [Report.Setting: String] = [:]
        for setting in report.settings {
            guard let value = self[setting.rawValue] else { continue }
            guard setting == .account || value.wholeMatch(of: /[0-9]{4}-[0-9]{2}-[0-9]{2}/) != nil else { continue }
            settings[setting] = value
        }
        return settings
    }
}
