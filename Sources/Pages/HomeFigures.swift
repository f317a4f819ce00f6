import Threads

/// What the first page says in figures: counted by one thread for all, and anew only after a while, however many people
/// look.
public final class HomeFigures: Sendable {
    private let state = Monitor(State())

    private struct State {
        var made: (at: ContinuousClock.Instant, model: Templates.Model)?
        var isBeingMade = false
    }

    public init() {}

    private static let last = Duration.seconds(60)

    /// The figures; while somebody counts, those of before. A failure is kept as long: what took too long would take as
    /// long again.
    ///
    /// - Returns: `failure`, for the log: of the thread that met it, once.
    func fresh(_ count: () throws -> Templates.Model, otherwise: Templates.Model)
        -> (model: Templates.Model, failure: String?)
    {
        if let kept = kept() { return (kept, nil) }
        let (model, failure) = counted(count, otherwise: otherwise)
        state.change { $0 = State(made: (.now, model)) }
        return (model, failure)
    }

    /// - Returns: nil for the one who is to count. The very first are waited for.
    private func kept() -> Templates.Model? {
        state.wait { state -> Templates.Model?? in
            let isFresh = state.made.map { $0.at.duration(to: .now) < Self.last } ?? false
            if !isFresh && !state.isBeingMade {
                state.isBeingMade = true
                return .some(nil)
            }
            return state.made.map { $0.model }
        }
    }

    private func counted(_ count: () throws -> Templates.Model, otherwise: Templates.Model)
        -> (model: Templates.Model, failure: String?)
    {
        do { return (try count(), nil) } catch { return (otherwise, "\(error)") }
    }
}
