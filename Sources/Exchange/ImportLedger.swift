import Client
import ShaCache
public import Storage
import Synchronization
import System

/// What came of an import so far; its threads share it.
final class ImportLedger: Sendable {
    private struct State {
        var sums = ImportSums()
        var isStopped = false
    }

    private let state = Mutex(State())
    private let reporter: ImportReporter

    init(_ reporter: ImportReporter) { self.reporter = reporter }

    var sums: ImportSums { state.withLock { $0.sums } }

    /// Whether a thread met what ends the import: the others then end, too.
    var isStopped: Bool { state.withLock { $0.isStopped } }

    func stop() { state.withLock { $0.isStopped = true } }

    func count(_ change: (inout ImportSums) -> Void) {
        let sums = state.withLock { state in
            change(&state.sums)
            return state.sums
        }
        reporter.progress(sums)
    }

    /// Does one piece of work. What is wrong with that piece is reported, and stops nothing else.
    func attempt(_ item: @autoclosure () -> String, _ work: () throws -> Void) throws {
        do {
            try work()
        } catch  where error.isOfOneItem {
            count { $0.refused += 1 }
            reporter.refused(item(), "\(error)")
        }
    }

    /// The source has no such thing.
    func noteAbsent(_ item: String, _ reason: String) {
        count { $0.absent += 1 }
        reporter.absent(item, reason)
    }
}

/// Callbacks, called from several threads.
public struct ImportReporter: Sendable {
    /// Something was not taken.
    public let refused: @Sendable (_ item: String, _ reason: String) -> Void
    /// Something that an entry or a list of keys names isn't there.
    public let absent: @Sendable (_ item: String, _ reason: String) -> Void
    public let progress: @Sendable (ImportSums) -> Void

    public init(
        refused: @escaping @Sendable (_ item: String, _ reason: String) -> Void,
        absent: @escaping @Sendable (_ item: String, _ reason: String) -> Void,
        progress: @escaping @Sendable (ImportSums) -> Void
    ) {
        self.refused = refused
        self.absent = absent
        self.progress = progress
    }
}

/// What can't be imported, for its own sake.
struct UnfitItem: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

extension Error {
    /// Whether it is about one file, entry or answer of the source. What the store or the database refuses, and a source
    /// that can't be reached, would be so for all others.
    fileprivate var isOfOneItem: Bool {
        switch self as any Error {
        case is Refusal, is UnfitItem: true
        case let error as SystemError: !error.isOutOfSpace
        case let failure as CacheFailure:
            switch failure {
            case .troubled, .refused, .malformed, .missing, .untrusted, .broken: true
            case .unreachable: false
            }
        default: false
        }
    }
}
