import Glibc
import ShaCache

/// What lies in the store, beside what the catalog says of it.
public struct Survey: Sendable {
    enum Kind: String, CaseIterable {
        /// A blob that a visible entry names.
        case referenced
        /// A blob that none names.
        case unreferenced
        /// A blob that was hidden; its bytes are kept apart.
        case withdrawn
        /// A withdrawn blob whose bytes lie where readers look.
        case exposed
        /// A blob whose file has another size than was acknowledged.
        case damaged
        /// A file without row, so young that its upload may be under way.
        case arriving
        /// A file without row that nobody was promised.
        case orphan
        /// A body on its way, or a leftover.
        case temporary
        /// What isn't ours.
        case unknown
        /// The directories themselves, which take room as well.
        case directory
        /// A blob that was acknowledged and has no file.
        case dangling

        /// Whether somebody should look at each.
        var isFinding: Bool { [.exposed, .damaged, .orphan, .unknown, .dangling].contains(self) }
    }

    struct Sum {
        var files = 0
        var bytes = 0
        /// Of the disk, which gives whole blocks.
        var allocated = 0
    }

    struct Finding {
        let kind: Kind
        let name: String
        let bytes: Int
        let detail: String
    }

    /// Of each kind, so many are named: enough to see what went wrong.
    private static let findingsPerKind = 100

    /// In seconds since 1970.
    let start = time(nil)
    private(set) var sums: [Kind: Sum] = [:]
    private(set) var findings: [Finding] = []
    private var found: [Kind: Int] = [:]

    mutating func add(_ file: StoredFile, as kind: Kind, name: @autoclosure () -> String, detail: String = "") {
        sums[kind, default: Sum()] += Sum(files: 1, bytes: file.bytes, allocated: file.allocated)
        if kind.isFinding || !detail.isEmpty { note(kind, name(), bytes: file.bytes, detail) }
    }

    mutating func addDangling(_ digest: Digest, bytes: Int) {
        sums[.dangling, default: Sum()] += Sum(files: 1, bytes: bytes)
        note(.dangling, digest.description, bytes: bytes, "")
    }

    private mutating func note(_ kind: Kind, _ name: String, bytes: Int, _ detail: String) {
        found[kind, default: 0] += 1
        guard found[kind]! <= Self.findingsPerKind else { return }
        findings.append(Finding(kind: kind, name: name, bytes: bytes, detail: detail))
    }
}

extension Survey {
    /// For people and scripts. What lies on the disk, its total, and at last what doesn't.
    public var table: Table {
        let total = sums.filter { $0.key != .dangling }.values.reduce(into: Sum()) { $0 += $1 }
        let lines = Kind.allCases.filter { $0 != .dangling }.map { ($0.rawValue, sums[$0] ?? Sum()) }
        return Table(
            columns: ["kind", "files", "bytes", "allocated"],
            rows: (lines + [("total", total), (Kind.dangling.rawValue, sums[.dangling] ?? Sum())]).map { name, sum in
                [.text(name), .number("\(sum.files)"), .number("\(sum.bytes)"), .number("\(sum.allocated)")]
            })
    }
}

extension Survey.Sum {
    fileprivate static func += (sum: inout Self, more: Self) {
        sum.files += more.files
        sum.bytes += more.bytes
        sum.allocated += more.allocated
    }
}
