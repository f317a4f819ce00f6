import ShaCache

/// One thing that a check has found.
public struct CheckFinding: Sendable {
    public let kind: CheckKind
    /// A digest, a file from the store's directory on, an account, a key, a day.
    public let name: String
    /// What lies on the disk, or is lost; 0 of sums.
    public let bytes: Int
    public internal(set) var detail: String
    public internal(set) var isRepaired = false
}

extension CheckFinding {
    /// Without users and passwords in URLs: keys are anybody's.
    public var withoutCredentials: Self {
        CheckFinding(
            kind: kind, name: ShaCache.withoutCredentials(in: name), bytes: bytes,
            detail: ShaCache.withoutCredentials(in: detail), isRepaired: isRepaired)
    }
}

extension CheckFinding: Encodable {
    private enum CodingKeys: String, CodingKey {
        case kind, name, bytes, detail
        case isRepaired = "repaired"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(kind.rawValue, forKey: .kind)
        try container.encode(name, forKey: .name)
        try container.encode(bytes, forKey: .bytes)
        try container.encode(detail, forKey: .detail)
        try container.encode(isRepaired, forKey: .isRepaired)
    }
}

/// What a check has found, added up by kind.
public struct CheckReport: Sendable {
    struct Sum {
        var found = 0
        var repaired = 0
        var bytes = 0
        var example = ""
    }

    private(set) var sums: [CheckKind: Sum] = [:]
    /// Why a kind could not be compared, in a line each.
    public internal(set) var failures: [String] = []

    mutating func add(_ finding: CheckFinding) {
        var sum = sums[finding.kind] ?? Sum(example: finding.name)
        sum.found += 1
        sum.repaired += finding.isRepaired ? 1 : 0
        sum.bytes += finding.bytes
        sums[finding.kind] = sum
    }

    /// How many somebody has to look at: they were not repaired, and are not harmless.
    public var faults: Int { sums.filter { !$0.key.isHarmless }.values.reduce(0) { $0 + $1.found - $1.repaired } }

    /// For people and scripts: all kinds, and of those that were found how they are mended.
    public var table: Table {
        Table(
            columns: ["kind", "found", "repaired", "bytes", "example", "mend"],
            rows: CheckKind.allCases.map { kind in
                let sum = sums[kind] ?? Sum()
                return [.text(kind.rawValue)] + [sum.found, sum.repaired, sum.bytes].map { .number("\($0)") }
                    + [.text(sum.example), .text(sum.found == 0 ? "" : kind.mend)]
            })
    }
}
