public import Configuration
import Foundation
import Postgres
import ShaCache
public import Storage

/// Answers requests for pages. It belongs to one thread, as its session does.
public final class Pages {
    let session: Session
    let browsing: Browsing
    let answers: Reports
    let site: Configuration.Site
    /// Whether who has no account may ask for one here.
    let takesAccountRequests: Bool
    /// In the order in which they are asked.
    let upstreams: [Upstream]
    let templates: Templates
    let statistics: HomeStatisticsCache

    /// - Parameter statistics: those that all threads share.
    public init(
        session: Session, site: Configuration.Site, takesAccountRequests: Bool, upstreams: [Upstream],
        templates: Templates, statistics: HomeStatisticsCache
    ) {
        self.session = session
        browsing = Browsing(session)
        answers = Reports(session)
        self.site = site
        self.takesAccountRequests = takesAccountRequests
        self.upstreams = upstreams
        self.templates = templates
        self.statistics = statistics
    }

    public func answer(_ request: PageRequest) -> PageAnswer {
        // Identifying the visitor may be what failed.
        let unknown = View(request, .anybody)
        do {
            guard let route = PageRoute.find(request.target) else {
                return message(.nothingHere, View(request, (try? visitor(request)) ?? .anybody))
            }
            switch route {
            case .style(let version):
                return file("text/css", templates.style, isCurrent: version == templates.styleVersion)
            case .icon(let version):
                return file("image/svg+xml", HashGlyph.icon, isCurrent: version == Self.iconVersion)
            default: return try page(route, for: View(request, try visitor(request)))
            }
        } catch let error as DatabaseError where error.tookTooLong {
            return message(.tookTooLong, unknown, cause: "\(error)")
        } catch  where error.isTransient {
            return message(.databaseAway, unknown, cause: "\(error)")
        } catch {
            return message(.broken, unknown, cause: "\(error)")
        }
    }

    private func page(_ route: PageRoute, for view: View) throws -> PageAnswer {
        switch route {
        case .home: try home(view)
        case .search(let text): try search(text, view)
        case .key(let text, let number): try key(text, page: number, view)
        case .entry(let number): try entry(number, view)
        case .blob(let digest): try blob(digest, view)
        case .reports: try reports(view)
        case .report(let name, let form): try report(name, form, view)
        case .style, .icon: preconditionFailure("no page, and answered before anybody is asked for")
        }
    }

    private static let iconVersion = Templates.version(of: HashGlyph.icon)

    /// - Parameter isCurrent: it is asked for by its version, and may be kept for ever. While several servers are
    ///   brought up to date, one is asked for what it doesn't have, or has no more.
    private func file(_ type: String, _ text: String, isCurrent: Bool) -> PageAnswer {
        PageAnswer(
            .ok, type: type, caching: isCurrent ? "public, max-age=31556926, immutable" : "public, max-age=60",
            body: text)
    }

    /// - Parameter model: what the template needs beside what all pages show.
    func render(_ template: String, _ status: Status = .ok, title: String, _ view: View, _ model: Templates.Model)
        -> PageAnswer
    {
        var whole: Templates.Model = [
            "site": site.name, "title": title, "version": Configuration.version, "style": templates.styleVersion,
            "icon": Self.iconVersion,
            "isOperator": view.visitor.isOperator, "isHome": template == "home", "isReports": template == "reports",
            "isReport": template == "report", "q": "", "root": PageRoute.root,
            "siteBand": ["svg": HashGlyph.svg(hexOfName)],
        ]
        if case .operates(let account) = view.visitor { whole["operator"] = account.name }
        whole.merge(model) { $1 }
        return PageAnswer(
            status, type: "text/html", caching: status == .ok ? view.caching : "no-store", isFound: template == "home",
            body: templates.render(template, whole))
    }
}

/// A request, whose it is, and when.
struct View {
    let request: PageRequest
    let visitor: Visitor
    /// Seconds since 1970.
    let now = Int(Date.now.timeIntervalSince1970)

    init(_ request: PageRequest, _ visitor: Visitor) {
        self.request = request
        self.visitor = visitor
    }

    /// A page that depends on a certificate is private.
    fileprivate var caching: String {
        if case .anybody = visitor { return "public, max-age=60" }
        return "private, no-store"
    }
}
