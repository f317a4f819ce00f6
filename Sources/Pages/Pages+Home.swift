import Storage

extension Pages {
    func home(_ view: View) throws -> PageAnswer {
        // How to use the cache is told without figures, too.
        let figures = statistics.fresh(countedFigures, otherwise: ["areFiguresAway": true])
        let page = render("home", title: site.name, view, figures.model.merging(instructions(view)) { $1 })
        return page.caused(by: figures.failure)
    }

    /// How to use the cache.
    private func instructions(_ view: View) -> Templates.Model {
        let address = SiteAddress(site, view.request)
        // In slapos.cfg, a percent sign begins another option's name; in a profile of buildout it doesn't.
        let option = [address.downloads, address.uploads].map { $0.replacing("%", with: "%%") }
        var model: Templates.Model = [
            "downloads": address.downloads, "uploads": address.uploads,
            "option": ["downloads": option[0], "uploads": option[1]],
            "hasAuthority": site.authority != nil,
            // Or else what Debian's ca-certificates keeps: the deployed clients don't go without one.
            "authority": site.authority == nil
                ? "/etc/ssl/certs/ca-certificates.crt" : "/etc/opt/slapos/ssl/cache-ca.crt",
        ]
        model["contact"] = site.contact.map {
            ["text": $0.shown(), "href": Self.link(to: $0) ?? false] as Templates.Model
        }
        return model
    }

    /// Where one writes to; nil when it is neither an address nor a URL.
    private static func link(to contact: String) -> String? {
        if contact.wholeMatch(of: /https?:\/\/[^\s\/]\S*/) != nil { return contact }
        return contact.wholeMatch(of: /[A-Za-z0-9.+_-]+@[A-Za-z0-9.-]+/) != nil ? "mailto:\(contact)" : nil
    }

    private static let daysShown = 60

    private func countedFigures() throws -> Templates.Model {
        guard let totals = try answers.totals() else { return [:] }
        let days = try answers.days(Self.daysShown)
        return [
            "totals": [
                ["number": Format.count(totals.entries), "what": totals.entries == 1 ? "entry" : "entries"],
                ["number": Format.count(totals.blobs), "what": totals.blobs == 1 ? "blob" : "blobs"],
                ["number": Format.bytes(totals.bytes), "what": "stored"],
            ],
            "charts": [
                Chart.days("Uploads a day", "uploads", days) { $0.uploads }.model,
                Chart.days("Downloads a day", "downloads", days) { $0.downloads }.model,
                Chart.days("Bytes sent a day", "bytes", days, write: Format.bytes) { $0.sentBytes }.model,
                Chart.space(days, total: totals.bytes).model,
            ],
        ]
    }
}

extension Chart {
    fileprivate static func days(
        _ title: String, _ measure: String, _ days: [DailyTotals],
        write: @escaping (Int) -> String = Format.count, _ value: (DailyTotals) -> Int
    ) -> Chart {
        Chart(
            title: title, measure: measure, points: days.map { ($0.name, value($0)) }, shape: .columns,
            write: write)
    }

    /// Each day's total is the next one's without what that one brought.
    fileprivate static func space(_ days: [DailyTotals], total: Int) -> Chart {
        var total = total
        let points = days.reversed().map { day in
            defer { total -= day.newBytes }
            return (label: day.name, value: total)
        }
        return Chart(
            title: "Space used", measure: "bytes", points: points.reversed(), shape: .area,
            write: Format.bytes)
    }
}
