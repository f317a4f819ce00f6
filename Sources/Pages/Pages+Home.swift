import Storage
import System

extension Pages {
    func home(_ view: View) throws -> PageAnswer {
        // How to use the cache is told without figures, too.
        let figures = statistics.fresh(countedFigures, otherwise: ["areFiguresAway": true])
        let model = figures.model.merging(instructions(view)) { $1 }.merging(nearness(view)) { $1 }
        let page = render("home", title: site.name, view, model)
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
            "hasAuthority": site.authority != nil, "takesAccountRequests": takesAccountRequests,
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
        let (stored, fetched) = (try answers.totals(), try fetchedFigures())
        guard stored != nil || !fetched.isEmpty else { return [:] }
        let totals = stored ?? Reports.Totals(blobs: 0, bytes: 0, entries: 0)
        let days = try answers.days(Self.daysShown)
        let figures: [Templates.Model] = [
            ["number": Format.count(totals.entries), "what": totals.entries == 1 ? "entry" : "entries"],
            ["number": Format.count(totals.blobs), "what": totals.blobs == 1 ? "blob" : "blobs"],
            ["number": Format.bytes(totals.bytes), "what": "stored"],
        ]
        return [
            "totals": figures + fetched,
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

/// A cache of the home page's statistics: computed by one thread for all, at most once in its lifetime of a minute.
public final class HomeStatisticsCache: Sendable {
    private let state = Monitor(CacheState())

    private struct CacheState {
        var made: (at: ContinuousClock.Instant, model: Templates.Model)?
        var isBeingMade = false
    }

    public init() {}

    private static let last = Duration.seconds(60)

    /// The statistics; while a thread computes new ones, the old. A failure is cached as long: a query that timed out
    /// would time out again.
    ///
    /// - Returns: `failure`, for the log: only to the thread that computed.
    func fresh(_ count: () throws -> Templates.Model, otherwise: Templates.Model)
        -> (model: Templates.Model, failure: String?)
    {
        if case .show(let model) = turn() { return (model, nil) }
        let (model, failure) = counted(count, otherwise: otherwise)
        state.change { $0 = CacheState(made: (.now, model)) }
        return (model, failure)
    }

    private enum Turn {
        case show(Templates.Model)
        case count
    }

    /// Waits for the very first ones.
    private func turn() -> Turn {
        state.wait { state in
            if let made = state.made, state.isBeingMade || made.at.duration(to: .now) < Self.last {
                return .show(made.model)
            }
            if state.isBeingMade { return nil }
            state.isBeingMade = true
            return .count
        }
    }

    private func counted(_ count: () throws -> Templates.Model, otherwise: Templates.Model)
        -> (model: Templates.Model, failure: String?)
    {
        do { return (try count(), nil) } catch { return (otherwise, "\(error)") }
    }
}
