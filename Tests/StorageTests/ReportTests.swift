import Fixtures
import Foundation
import Postgres
import Testing

@testable import Storage

/// What is declared of a report, and what its view does.
struct ReportTests {
    private let database: TestDatabase
    init() throws { database = try TestDatabase() }

    private struct View: Equatable {
        let name: String
        let settings: Set<ReportFilter>
        let comment: String?
    }

    /// As the server knows them: a view obeys what its definition reads, or that of another view which it reads.
    private func views() throws -> [View] {
        try database.connection().run(
            """
            WITH RECURSIVE used (name, id) AS (
                SELECT relname, oid FROM pg_class WHERE relnamespace = 'report'::regnamespace AND relkind = 'v'
                UNION
                SELECT used.name, pg_depend.refobjid
                FROM used JOIN pg_rewrite ON ev_class = used.id
                JOIN pg_depend ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid
            )
            SELECT relname, obj_description(oid, 'pg_class'),
                EXISTS (SELECT FROM used WHERE name = relname AND id = 'report.since()'::regprocedure),
                EXISTS (SELECT FROM used WHERE name = relname AND id = 'report.until()'::regprocedure),
                EXISTS (SELECT FROM used WHERE name = relname AND id = 'report.account()'::regprocedure)
            FROM pg_class WHERE relnamespace = 'report'::regnamespace AND relkind = 'v' ORDER BY relname
            """
        ).map { row in
            let settings = zip(ReportFilter.allCases, 2...).filter { row.bool($0.1) }.map(\.0)
            return View(name: row.text(0)!, settings: Set(settings), comment: row.text(1))
        }
    }

    @Test func `each view is declared, with what it obeys, and psql shows the same`() throws {
        #expect(
            try views() == Report.all.map { View(name: $0.name, settings: $0.settings, comment: $0.help) })
    }

    @Test func `each view has a file of its own, which has its name`() throws {
        for schema in ["report", "page"] {
            let directory = "\(repository)/sql/\(schema)"
            for file in try FileManager.default.contentsOfDirectory(atPath: directory) {
                let text = try String(contentsOfFile: "\(directory)/\(file)", encoding: .utf8)
                let made = text.matches(of: /CREATE VIEW (\S+) AS/).map { String($0.1) }
                #expect(made == ["\(schema).\(file.dropLast(4))"])
            }
        }
    }

    @Test(arguments: Report.all) func `each chart is of columns that there are`(_ report: Report) throws {
        let reports = Reports(database.session(as: "shacache_page"))
        for figure in report.charts {
            #expect(try reports.days(of: figure, asking: [:], most: 366).isEmpty)
        }
    }

    @Test func `the help of a report tells how it obeys`() {
        #expect(
            Report.named("keys")?.help
                == "Which keys come near the limit of entries that a key may have? Obeys since, until (in its last entry), "
                + "account (who has put one of its entries; all are counted).")
        #expect(
            Report.named("upload")?.help.hasSuffix("Obeys since, until, account; of the months that are kept.") == true)
    }
}
