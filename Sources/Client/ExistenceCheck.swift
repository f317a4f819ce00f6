import Glibc
import ShaCache
import Synchronization
import System

/// Finds out, in a thread of its own, a file's name and whether the cache has it.
final class ExistenceCheck: Sendable {
    private let found: Flag
    private let work: Background<(Digest, Bool)>

    init(of file: GrowingFile, in cache: Cache.Settings) throws {
        let found = Flag()
        self.found = found
        work = try Background {
            lowerPriority()
            let digest = try file.digest()
            let isThere = try Cache(cache).holds(digest)
            if isThere { found.raise() }
            return (digest, isThere)
        }
    }

    var hasFound: Bool { found.isRaised }

    /// Waits for it, once.
    func result() throws -> (Digest, isThere: Bool) { try work.value() }
}

/// Raised once by one thread, seen by others.
private final class Flag: Sendable {
    private let state = Atomic(false)

    var isRaised: Bool { state.load(ordering: .relaxed) }

    func raise() { state.store(true, ordering: .relaxed) }
}

/// Where cores are few, sending goes first: the server has work of its own to do when all is sent, and meanwhile there
/// is time to hash. Linux gives each thread a priority of its own (setpriority(2)).
private func lowerPriority() { setpriority(Int32(PRIO_PROCESS.rawValue), 0, 10) }
