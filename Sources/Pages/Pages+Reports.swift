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
        guard let settings = form.settings(of: report) else { return message(400, .noSuchDay, view.request) }
        do {
            return try answer(report, settings, view)
        } catch AdministrationError.unknown {
            return message(404, .noSuchAccount, view.request)
        }
    }

    private func answer(_ report: Report, _ settings: [Report.Setting: String], _ view: View) throws -> PageAnswer {
        var tables: [Table] = []
        try catalog.read(report, asking: settings, limit: Self.rowsShown + 1, asJSON: false) { tables.append($0) }
        let rows = tables.flatMap(\.rows)
        let table = Table(columns: tables.first?.columns ?? [], rows: Array(rows.prefix(Self.rowsShown)))
        var model = report.model
        model["settings"] = Report.Setting.allCases.filter(report.settings.contains).map { setting in
            [
                "name": setting.rawValue, "label": setting.rawValue.capitalisedFirst, "value": settings[setting] ?? "",
                "kind": setting == .account ? "text" : "date",
            ]
        }
        model["hasSettings"] = !report.settings.isEmpty
        let first = table.rows.first
        model["columns"] = table.columns.enumerated().map { index, name in
            ["name": name.replacing("_", with: " "), "isNumber": first?[index].isNumber ?? false]
        }
        model["rows"] = table.rows.map { row in ["cells": zip(table.columns, row).map(Self.cell)] }
        model["count"] = Amounts.plural(table.rows.count, "row", "rows")
        if rows.count > Self.rowsShown { model["command"] = Self.command(for: report, settings) }
        model["isEmpty"] = table.rows.isEmpty
        model["charts"] = try charts(of: report, columns: table.columns, settings)
        return render("report", title: report.title, view, model)
    }

    private static let rowsShown = 200
    private static let daysDrawn = 366

    /// From all of its days, however few of them the table shows.
    private func charts(
        of report: Report, columns: [String], _ settings: [Report.Setting: String]
    ) throws -> [Templates.Model] {
        guard let measure = Chart.measure(among: columns) else { return [] }
        let days = try catalog.days(
            of: report, adding: measure, hasKinds: columns.contains("kind"), asking: settings, most: Self.daysDrawn)
        return Chart.charts(of: measure, days).map(\.model)
    }

    /// What shows all rows, to be copied.
    private static func command(for report: Report, _ settings: [Report.Setting: String]) -> String {
        let options = Report.Setting.allCases.compactMap { setting in
            settings[setting].map { " --\(setting.rawValue) \($0)" }
        }
        return "shacache-admin report \(report.name.replacing("_", with: "-"))\(options.joined()) --format csv"
    }

    private static func cell(_ column: String, _ value: Table.Value) -> Templates.Model {
        let text = value.text
        var cell: Templates.Model = [
            "text": text.shown(), "isNumber": value.isNumber, "isShort": text.count <= shortest, "isHash": false,
        ]
        switch column {
        case _ where value == .null: cell["text"] = "–"
        case "key", "first_key": cell["link"] = href(ofKey: text)
        case "sha512":
            cell["link"] = "\(PageRoute.root)/blob/\(text)"
            cell["isHash"] = true
        case "entry_id": cell["link"] = "\(PageRoute.root)/entry/\(text)"
        case _ where text.count >= longHash && text.allSatisfy(\.isHexDigit): cell["isHash"] = true
        default: if value.isNumber { cell["text"] = Int(text).map(Amounts.count) ?? text }
        }
        return cell
    }

    /// Digits, from which on a hash is shown by its beginning.
    private static let longHash = 32

    /// Characters, with which a day or a time stays on one line.
    private static let shortest = 30

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
    /// What a report is asked for; nil when a day is none.
    fileprivate func settings(of report: Report) -> [Report.Setting: String]? {
        var settings: [Report.Setting: String] = [:]
        for setting in report.settings {
            guard let value = self[setting.rawValue] else { continue }
            guard setting == .account || CalendarDay(value) != nil else { return nil }
            settings[setting] = value
        }
        return settings
    }
}

extension Table.Value {
    fileprivate var isNumber: Bool {
        if case .number = self { return true }
        return false
    }
}
