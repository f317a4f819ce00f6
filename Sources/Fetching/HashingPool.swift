import OpenSSL
import ShaCache
import Storage
import System

/// Threads that hash files while these grow, each file in turn: SHA-512 is slower than a disk or a near upstream, and whoever
/// receives should not wait for it.
final class HashingPool: Sendable {
    private let waiting = WorkQueue<FileHash>()

    /// In bytes. It stays in a core's cache, with what is hashed.
    private static let bufferSize = 128 << 10

    /// - Throws: `SystemError` when the system has no more threads.
    init() throws {
        for _ in 0..<processorCount { try Thread { [self] in run() }.detach() }
    }

    func add(_ hash: FileHash) { waiting.add(hash) }

    private func run() {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferSize, alignment: 4096)
        while let hash = waiting.next() {
            if hash.takeTurn(with: buffer) { add(hash) }
        }
    }
}

/// The SHA-512 of a file that one thread writes. The beginning is hashed by that thread: of a small file, that costs less than
/// to hand it over. The rest is read again, by a thread of the pool, as soon as it is written.
///
/// `@unchecked Sendable`: only a thread that `state` has given a turn touches the hash, and the thread that writes before the
/// first turn and after the last.
final class FileHash: @unchecked Sendable {
    private struct State {
        /// How many bytes may be hashed, and how many are.
        var (written, hashed) = (0, 0)
        /// Whether a thread of the pool has a turn, or will.
        var isQueued = false
        var error: (any Error)?
    }

    private let file: FetchedFile
    private let pool: HashingPool
    private var hash: Hash? = Hash(.sha512)
    private let state = Monitor(State())
    /// How many bytes are written, as the thread knows that writes.
    private var written: Int
    private var isHandedOver: Bool

    private static let handingOver = 1 << 20
    /// In bytes: then it is another file's.
    private static let turn = 1 << 20

    /// - Parameter written: how many bytes the file has.
    init(of file: FetchedFile, written: Int, in pool: HashingPool) {
        (self.file, self.pool, self.written) = (file, pool, written)
        isHandedOver = written > 0
        advance()
    }

    // MARK: The thread that writes

    /// - Parameter bytes: which the file has got now, behind the others.
    func update(_ bytes: UnsafeRawBufferPointer) {
        written += bytes.count
        isHandedOver = isHandedOver || written > Self.handingOver
        guard !isHandedOver else { return }
        hash!.update(bytes)
        state.changeQuietly { ($0.written, $0.hashed) = (written, written) }
    }

    /// Has hashed what is written by now.
    func advance() {
        guard isHandedOver else { return }
        let isQueued = state.changeQuietly { state in
            state.written = written
            defer { state.isQueued = true }
            return state.isQueued
        }
        if !isQueued { pool.add(self) }
    }

    /// Waits until all is hashed; once.
    ///
    /// - Throws: `StoreError` when the file can't be read, or `CutFile`.
    func finish() throws -> Digest {
        advance()
        if let error = state.wait(for: { $0.isQueued ? nil : Optional.some($0.error) }) { throw error }
        return Digest(bytes: hash.take()!.finish())
    }

    // MARK: A thread of the pool

    /// - Returns: whether it needs another turn.
    func takeTurn(with buffer: UnsafeMutableRawBufferPointer) -> Bool {
        let (start, end) = state.changeQuietly { ($0.hashed, min($0.written, $0.hashed + Self.turn)) }
        var failure: (any Error)?
        do { try read(start..<end, buffer) } catch { failure = error }
        var isOver = false
        state.change { state in
            state.hashed = end
            state.error = state.error ?? failure
            isOver = end == state.written
            state.isQueued = !isOver
        }
        return !isOver
    }

    private func read(_ range: Range<Int>, _ buffer: UnsafeMutableRawBufferPointer) throws {
        var offset = range.lowerBound
        while offset < range.upperBound {
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, range.upperBound - offset)])
            let count = try file.body.read(at: offset, into: room)
            guard count > 0 else { throw CutFile() }
            hash!.update(UnsafeRawBufferPointer(rebasing: room[..<count]))
            offset += count
        }
    }
}

/// Somebody else has shortened a file in the spool.
struct CutFile: Error, CustomStringConvertible {
    var description: String { "a file in the spool is shorter than what was written to it" }
}
