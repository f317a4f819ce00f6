public import Storage
import System

/// One run of an import: several threads take from a source what they store as a worker does.
public final class ImportRun: Sendable {
    public struct Settings: Sendable {
        let store: LocalBlobs
        let rules: UploadRules
        let account: String
        let threads: Int
        let session: @Sendable () -> Session

        /// - Parameters:
        ///   - account: in whose name all is stored. Its limits count; its roles and key prefixes don't, since it is the
        ///     operator who acts.
        ///   - session: opens one with the rights of shacache_admin.
        public init(
            store: LocalBlobs, rules: UploadRules, account: String, threads: Int,
            session: @escaping @Sendable () -> Session
        ) {
            self.store = store
            self.rules = rules
            self.account = account
            self.threads = threads
            self.session = session
        }
    }

    public let number: Imports.Number
    let settings: Settings
    let ledger: ImportLedger
    let blobGroups = BlobGroups()
    let entryGroups = EntryGroups()

    /// Records that it begins.
    ///
    /// - Parameter source: for people.
    public init(
        _ kind: Imports.Kind, from source: String, by actor: String, _ settings: Settings, reporter: ImportReporter
    ) throws {
        self.settings = settings
        ledger = ImportLedger(reporter)
        let session = settings.session()
        let account = try session.account(named: settings.account)
        number = try Imports(session).begin(kind, from: source, for: account, by: actor)
    }

    /// Imports what a source has. What is there already is left alone, so a run that was stopped is simply repeated.
    ///
    /// - Returns: what came of it.
    /// - Throws: `ImportStopped` when it ended before it was through.
    public func perform(_ source: ImportSource) throws -> ImportSums {
        let result = Result { for phase in source.phases { try carryOut(phase) } }
        let problem: String? = if case .failure(let error) = result { "\(error)" } else { nil }
        let recorded = Result { try Imports(settings.session()).finish(number, ledger.sums, problem: problem) }
        do {
            try result.get()
            try recorded.get()
        } catch {
            throw ImportStopped(sums: ledger.sums, cause: error)
        }
        return ledger.sums
    }

    private func carryOut(_ phase: any ImportPhase) throws {
        let count = phase.isOrdered ? 1 : settings.threads
        let crew = try (0..<count).map { _ in try Background { try self.work(on: phase) } }
        let results = crew.map { member in Result { try member.value() } }
        for result in results { try result.get() }
    }

    private func work(on phase: any ImportPhase) throws {
        do {
            let step = try phase.begin(Importer(self))
            while !ledger.isStopped, try step() {}
        } catch {
            ledger.stop()
            throw error
        }
    }
}

/// An import ended before it was through. What it has stored is there, and the next run goes on.
public struct ImportStopped: Error {
    public let sums: ImportSums
    public let cause: any Error
}

/// What is imported, in pieces that several threads take in turn.
protocol ImportPhase: Sendable {
    /// Whether one thread does all, one after the other.
    var isOrdered: Bool { get }

    /// - Returns: what one thread calls until it returns false: it does the next piece that no other thread has taken.
    func begin(_ importer: Importer) throws -> () throws -> Bool
}

extension ImportPhase {
    var isOrdered: Bool { false }
}

/// What is imported: each phase is done before the next one begins.
public struct ImportSource: Sendable {
    let phases: [any ImportPhase]
}

extension Session {
    /// - Throws: `UnfitAccount`.
    func account(named name: String) throws -> Account {
        guard let account = try Identities(self).enabledAccount(named: name) else { throw UnfitAccount(name: name) }
        return account
    }
}

/// Nothing can be stored in this account's name.
struct UnfitAccount: Error, CustomStringConvertible {
    let name: String

    var description: String { "there is no account \(name), or it is disabled" }
}
