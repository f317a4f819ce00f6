import ShaCache

/// A metric family, as Prometheus calls it: what is counted or measured under one name.
public struct Family: Sendable {
    public enum MetricType: String, Sendable {
        case counter, gauge, histogram
    }

    /// With `_total` where it counts, and the base unit (seconds, bytes) where it has one.
    public let name: String
    public let type: MetricType
    /// One line, for people.
    public let help: String

    public init(_ name: String, _ type: MetricType, _ help: String) {
        self.name = name
        self.type = type
        self.help = help
    }

    /// The upper bounds of a histogram's buckets, in seconds: what a blob in memory takes, and what the largest image on
    /// a slow line does. The deployed clients give up after an hour.
    static let bounds = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600,
    ]
}

/// What tells the series of one family apart. The values are a closed set, so that each series has its place in memory,
/// and no client can make more of them.
struct Label: Sendable {
    let name: String
    let values: [String]

    /// - Returns: nil for a value that is not in the list, where the list has no `other`: that is a mistake of ours.
    func index(of value: String) -> Int? { values.firstIndex(of: value) ?? values.firstIndex(of: Self.other) }
}

extension Label {
    private static let other = "other"

    static let route = Label(name: "route", values: ["blob", "blobs", "key", "list", "health", "metrics", other])
    static let method = Label(name: "method", values: ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", other])
    static let status = Label(
        name: "status",
        values: Status.allCases.map { "\($0.rawValue)" } + [other])
    static let socket = Label(name: "socket", values: ["lookups", "uploads"])
    static let target = Label(name: "target", values: ["blob", "entry"])
    static let answer = Label(name: "target", values: ["entry", "message"])
    static let stage = Label(name: "stage", values: ["receive", "hash", "synchronize", "commit"])
    static let signature = Label(name: "result", values: ["verified", "unsigned", "unknown signer"])
    static let refusal = Label(name: "reason", values: Refusal.Name.allCases.map(\.rawValue))
    static let failure = Label(name: "reason", values: FailureName.allCases.map(\.rawValue))
    static let databaseError = Label(
        name: "kind", values: ["unavailable", "lost", "unknown outcome", "rejected"])
}
