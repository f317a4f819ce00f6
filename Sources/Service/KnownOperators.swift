/// A cache of which certificates are operators', for as long as the database can't be asked: its
/// metrics must be seen also while it is away.
struct KnownOperators {
    private var seen: [[UInt8]: ContinuousClock.Instant] = [:]

    /// Longer than most outages. One that was revoked just before is then good for that long, and for looking only.
    private static let lifetime = Duration.seconds(3600)

    /// Notes the database's answer about a certificate.
    mutating func note(_ certificate: [UInt8], isOperator: Bool) { seen[certificate] = isOperator ? .now : nil }

    func remembers(_ certificate: [UInt8]) -> Bool {
        seen[certificate].map { $0.duration(to: .now) < Self.lifetime } ?? false
    }
}
