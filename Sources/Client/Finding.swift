/// What the doctor found about one thing.
public struct Finding: Sendable {
    public enum Verdict: String, Sendable {
        case good = "ok"
        case warning
        case failure = "failed"
    }

    public let verdict: Verdict
    /// The option, the file or the URL that it is about.
    public let subject: String
    public let text: String
    /// How to mend it; nil when nothing is wrong.
    public let mend: String?

    static func good(_ subject: String, _ text: String) -> Finding {
        Finding(verdict: .good, subject: subject, text: text, mend: nil)
    }

    static func warning(_ subject: String, _ text: String, mend: String) -> Finding {
        Finding(verdict: .warning, subject: subject, text: text, mend: mend)
    }

    static func failure(_ subject: String, _ text: String, mend: String) -> Finding {
        Finding(verdict: .failure, subject: subject, text: text, mend: mend)
    }
}
