/// Callbacks for warnings, notes and progress. Called from several threads.
public struct Reporter: Sendable {
    /// Something is wrong, and the work goes on.
    public let warn: @Sendable (String) -> Void
    /// For --verbose: what helps to find a problem.
    public let note: @Sendable (String) -> Void
    public let progress: @Sendable (Progress) -> Void

    public init(
        warn: @escaping @Sendable (String) -> Void, note: @escaping @Sendable (String) -> Void,
        progress: @escaping @Sendable (Progress) -> Void
    ) {
        self.warn = warn
        self.note = note
        self.progress = progress
    }
}

/// How far one piece of work has come.
public struct Progress: Sendable {
    public enum Step: String, Sendable {
        case fetching, packing, sending, receiving, unpacking
    }

    /// What the user calls it.
    public let item: String
    public let step: Step
    /// In bytes.
    public let done: Int
    /// In bytes; nil as long as it is unknown.
    public let total: Int?
}

/// How many there are, for messages: `1 entry`, `2 entries`.
///
/// - Parameter several: the noun for any other number than one; nil adds an s.
public func counted(_ count: Int, _ one: String, _ several: String? = nil) -> String {
    "\(count) \(count == 1 ? one : several ?? "\(one)s")"
}
