import Glibc
import Postgres
import ShaCache
import System

/// Compares a store with its database completely, and repairs what loses nothing. Uploads, withdrawals and maintenance may
/// go on meanwhile: what seems to be wrong is looked at again, behind the blob's lock where that decides.
public final class StoreCheck {
    let blobs: BlobRepository
    var files: LocalBlobs { blobs.files }
    var session: Session { blobs.session }
    /// For the audit log; nil: nothing is changed.
    let repairer: String?
    let isHashing: Bool
    var pace: Pace
    let owner: StoreOwner
    let storesSizes: Bool
    private(set) var report = CheckReport()
    private let show: (CheckFinding) throws -> Void

    /// Bytes in a second.
    public static let usualRate = 64 << 20

    /// - Parameters:
    ///   - actor: repairs what can be, and is named in the audit log; nil only compares.
    ///   - isHashing: reads all files; otherwise only those that a repair has to.
    ///   - rate: in bytes a second.
    ///   - show: is shown each finding as it is found: they may be more than memory has room for.
    /// - Throws: `StoreError` when there is no store.
    public init(
        of files: LocalBlobs, _ session: Session, repairingAs actor: String? = nil, isHashing: Bool = false,
        rate: Int = usualRate, show: @escaping (CheckFinding) throws -> Void = { _ in }
    ) throws {
        blobs = BlobRepository(files, session)
        repairer = actor
        self.isHashing = isHashing
        pace = Pace(perSecond: rate)
        owner = try files.owner()
        storesSizes = try files.storesSizes()
        self.show = show
    }

    /// - Throws: when the database or the disk can't be read any more; `StoreError` also while another repair of the
    ///   same store is under way.
    public func run() throws -> CheckReport {
        guard repairer != nil else { return try compare() }
        guard let report = try files.locking("\(files.directory)/blobs", "the store", compareAndRecord) else {
            throw StoreError(.broken, "another check --repair is at work here: wait for its end")
        }
        return report
    }

    /// What was repaired before a failure goes on record, too.
    private func compareAndRecord() throws -> CheckReport {
        do {
            _ = try compare()
        } catch {
            _ = try? recordRepairs()
            throw error
        }
        try attempt("the audit log") { try recordRepairs() }
        return report
    }

    private func compare() throws -> CheckReport {
        try checkDirectories()
        var walk = StoreWalk(of: blobs, from: time(nil), isCountingOnce: false) { try self.check($0) }
        try walk.run()
        try checkTrash()
        try checkSums()
        return report
    }

    private func checkDirectories() throws {
        for name in files.neededDirectories {
            guard let problem = files.problem(ofDirectory: name, owner) else { continue }
            try add(.directory, name, detail: problem) {
                try files.repairDirectory(name, owner)
                return files.problem(ofDirectory: name, owner) == nil
            }
        }
    }

    private func recordRepairs() throws {
        guard let repairer else { return }
        try session.connection.transaction {
            for kind in CheckKind.allCases {
                guard let sum = report.sums[kind], sum.repaired > 0 else { continue }
                try session.audit.append(
                    "check repair", of: kind.rawValue, by: repairer, detail: "\(sum.repaired) of \(sum.found)")
            }
        }
    }
}

extension StoreCheck {
    /// - Parameter repair: of what a repair puts right; whether it did.
    func add(
        _ kind: CheckKind, _ name: String, bytes: Int = 0, detail: String = "", repair: () throws -> Bool
    ) throws {
        var finding = CheckFinding(kind: kind, name: name, bytes: bytes, detail: detail)
        if repairer != nil, kind.isRepairable {
            do {
                finding.isRepaired = try goingOn(repair)
            } catch let failure as CheckFailure {
                finding.detail += "\(detail.isEmpty ? "" : ": ")not repaired: \(failure.reason)"
            }
        }
        try add(finding)
    }

    func add(_ finding: CheckFinding) throws {
        report.add(finding)
        try show(finding)
    }

    /// A step whose failure is reported, and is no reason to leave out the others.
    func attempt(_ what: String, _ body: () throws -> Void) throws {
        do {
            try goingOn(body)
        } catch let failure as CheckFailure {
            report.failures.append("\(what): \(failure.reason)")
        }
    }

    /// A disk that is full, also the database's, ends one step. A database that is away ends all.
    ///
    /// - Throws: `CheckFailure` when others may succeed.
    private func goingOn<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as StoreError {
            throw CheckFailure(reason: "\(error)")
        } catch let error as DatabaseError {
            do { try session.connection.run("SELECT 1") } catch { throw error }
            throw CheckFailure(reason: error.message)
        }
    }
}

/// Why one step of a check failed.
private struct CheckFailure: Error {
    let reason: String
}
