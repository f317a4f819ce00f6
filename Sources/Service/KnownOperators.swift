/// The certificates of operators, as the database called them lately: what is shown at /metrics must also be shown
/// while the database is away, to who watches it.
struct KnownOperators {
    private var seen: [[UInt8]: ContinuousClock.Instant] = [:]

    /// Longer than most outages. One that was revoked just before is then good for that long, and for looking only.
    private static let memory = Duration.seconds(3600)

    /// What the database says of a certificate now.
    mutating func note(_ certificate: [UInt8], isOperator: Bool) { seen[certificate] = isOperator ? .now : nil }

    func remembers(_ certificate: [UInt8]) -> Bool {
        seen[certificate].map { $0.duration(to: .now) < Self.memory } ?? false
    }
}
