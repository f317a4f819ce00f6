import System

/// A cache of the home page's statistics: computed by one thread for all, at most once in its lifetime of a minute.
public final class HomeStatisticsCache: Sendable {
    private let state = Monitor(CacheState())

    private struct CacheState {
        var made: (at: ContinuousClock.Instant, model: Templates.Model)?
        var isBeingMade = false
    }

    public init() {}

    private static let last = Duration.seconds(60)

    /// The statistics; while a thread computes new ones, the old. A failure is cached as long: a query that timed out would
    /// time out again.
    ///
    /// - Returns: `failure`, for the log: only to the thread that computed.
    func fresh(_ count: () throws -> Templates.Model, otherwise: Templates.Model)
        -> (model: Templates.Model, failure: String?)
    {
        if case .show(let model) = turn() { return (model, nil) }
        let (model, failure) = counted(count, otherwise: otherwise)
        state.change { $0 = CacheState(made: (.now, model)) }
        return (model, failure)
    }

    private enum Turn {
        case show(Templates.Model)
        case count
    }

    /// Waits for the very first ones.
    private func turn() -> Turn {
        state.wait { state in
            if let made = state.made, state.isBeingMade || made.at.duration(to: .now) < Self.last {
                return .show(made.model)
            }
            if state.isBeingMade { return nil }
            state.isBeingMade = true
            return .count
        }
    }

    private func counted(_ count: () throws -> Templates.Model, otherwise: Templates.Model)
        -> (model: Templates.Model, failure: String?)
    {
        do { return (try count(), nil) } catch { return (otherwise, "\(error)") }
    }
}
