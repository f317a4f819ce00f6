import Fixtures
import Foundation
import Postgres
import Testing

@testable import Storage

struct MigrationTests {
    private let database: TestDatabase
    /// A copy of the SQL, to be changed.
    private let directory: TemporaryDirectory
    private var sql: String { "\(directory.path)/sql" }

    init() throws {
        database = try TestDatabase()
        directory = try TemporaryDirectory()
        try FileManager.default.copyItem(atPath: "\(repository)/sql", toPath: "\(directory.path)/sql")
    }

    private func migrate() throws -> [String] {
        try Migrations(database.session(as: "shacache_owner")).apply(from: sql)
    }

    private func replace(_ old: String, by new: String, in file: String) throws {
        let text = try String(contentsOfFile: "\(sql)/\(file)", encoding: .utf8)
        try #require(text.contains(old))
        try write(text.replacing(old, with: new), to: file)
    }

    private func write(_ text: String, to file: String) throws {
        try Data(text.utf8).write(to: URL(filePath: "\(sql)/\(file)"))
    }

    private func changeUploads() throws {
        try replace("ORDER BY day DESC;", by: "ORDER BY day;", in: "report/uploads.sql")
    }

    @Test func `the code needs the newest migration`() throws {
        #expect(try Migrations(database.session(as: "shacache_worker")).newestApplied() == Migrations.needed)
    }

    @Test func `migrating again changes nothing, and a changed migration is refused`() throws {
        #expect(try migrate().isEmpty)
        try write("SELECT 1", to: "0003_accounts.sql")
        #expect { try migrate() } throws: { "\($0)".contains("0003_accounts.sql: was changed") }
    }

    @Test func `a view that was changed is made anew, with its columns, its comment and its rights`() throws {
        try replace("    day,\n", by: "    'first' AS position,\n    day,\n", in: "report/uploads.sql")
        #expect(try migrate() == ["report/uploads.sql"])
        let reader = database.connection(as: "shacache_report")
        #expect(try reader.run("SELECT * FROM report.uploads").columns.first?.name == "position")
        let comment = try reader.run("SELECT obj_description('report.uploads'::regclass)").first?.text(0)
        #expect(comment == Report.named("uploads")?.help)
        #expect(throws: DatabaseError.self) { try reader.run("SELECT FROM shacache.upload") }
        #expect(try migrate().isEmpty)
    }

    @Test func `a view whose file is gone goes`() throws {
        try FileManager.default.removeItem(atPath: "\(sql)/page/download.sql")
        #expect(try migrate() == ["page/download.sql"])
        #expect(throws: DatabaseError.self) {
            try database.connection(as: "shacache_page").run("SELECT FROM page.download")
        }
    }

    /// Without dropping the views first, the column can't go.
    @Test func `a migration changes what a view is made of`() throws {
        try write(
            "ALTER TABLE shacache.survey DROP COLUMN free_inodes",
            to: String(format: "%04d_fewer_columns.sql", Migrations.needed + 1))
        try replace(
            "    survey.filesystem_inodes,\n    survey.free_inodes,\n", by: "    survey.filesystem_inodes,\n",
            in: "report/surveys.sql")
        #expect(try migrate().count == 2)
        #expect { try Migrations(database.session(as: "shacache_owner")).apply(from: "\(repository)/sql") } throws: {
            "\($0)".contains("use the programs of the newer release")
        }
    }

    @Test func `what fails leaves all as it was`() throws {
        try changeUploads()
        try write("SELECT 1/0", to: "report/zero.sql")
        #expect(throws: DatabaseError.self) { try migrate() }
        #expect(throws: Never.self) {
            try database.connection(as: "shacache_report").run("SELECT FROM report.uploads")
        }
        try FileManager.default.removeItem(atPath: "\(sql)/report/zero.sql")
        #expect(try migrate() == ["report/uploads.sql"])
    }

    @Test func `a report that runs on is not waited for, and the reason is given`() throws {
        let reader = database.connection(as: "shacache_report")
        try changeUploads()
        try reader.transaction {
            try reader.run("SELECT FROM report.growth")
            #expect { try migrate() } throws: { "\($0)".contains("stop the workers") && $0 is MigrationError }
        }
        #expect(try migrate() == ["report/uploads.sql"])
    }

    @Test func `of several that migrate at once, one does it`() async throws {
        try changeUploads()
        let (database, sql) = (database, sql)
        let applied = try await withThrowingTaskGroup(of: [String].self) { group in
            for _ in 1...3 {
                group.addTask { try Migrations(database.session(as: "shacache_owner")).apply(from: sql) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(applied.filter { !$0.isEmpty } == [["report/uploads.sql"]])
    }
}
