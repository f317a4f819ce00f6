import Glibc
import System

/// Reads files from their beginnings to their ends, one after the other, in a thread of its own: as far ahead as its memory
/// has room for.
final class FileReader: Sendable {
    /// What was read of a file.
    struct Piece {
        let bytes: UnsafeRawBufferPointer
        /// Where they lie; nil when there are none.
        fileprivate var buffer: UnsafeMutableRawBufferPointer?
        /// That it couldn't be read on.
        var error: SystemError?
        /// Of its file.
        let isLast: Bool
    }

    private struct State {
        var free: [UnsafeMutableRawBufferPointer]
        var read: [Piece] = []
        var isStopped = false
    }

    /// What each takes.
    private final class Memory: Sendable {
        private static let pieceSize = 1 << 20
        private static let pieces = 2
        // Only through the pieces in the state, each of which one thread has at a time.
        nonisolated(unsafe) private let bytes = UnsafeMutableRawBufferPointer.allocate(
            byteCount: pieces * pieceSize, alignment: UncachedFile.alignment)

        deinit { bytes.deallocate() }

        var pieces: [UnsafeMutableRawBufferPointer] {
            (0..<Self.pieces).map { .init(rebasing: bytes[$0 * Self.pieceSize..<($0 + 1) * Self.pieceSize]) }
        }
    }

    private let memory: Memory
    private let state: Monitor<State>
    private let thread: Thread

    /// - Throws: when the system has no more threads.
    init(_ paths: [String]) throws(SystemError) {
        let memory = Memory()
        let state = Monitor(State(free: memory.pieces))
        (self.memory, self.state) = (memory, state)
        thread = try Thread { for path in paths { guard Self.read(path, state) else { return } } }
    }

    /// Ends it soon.
    func stop() { state.change { $0.isStopped = true } }

    /// Waits for its end, behind `stop`.
    func join() { thread.join() }

    /// Waits for the next piece: as many as there are of each file, in their order.
    func next() -> Piece { state.wait { $0.read.isEmpty ? nil : $0.read.removeFirst() } }

    /// Of a piece whose bytes are not looked at any more.
    func giveBack(_ piece: Piece) {
        if let buffer = piece.buffer { state.change { $0.free.append(buffer) } }
    }

    // MARK: The thread

    /// - Returns: false when nothing is to be read any more.
    private static func read(_ path: String, _ state: Monitor<State>) -> Bool {
        var buffer: UnsafeMutableRawBufferPointer?
        func give(_ piece: Piece) { state.change { $0.read.append(piece) } }
        do throws(SystemError) {
            let file = try UncachedFile(blob: path)
            // What isn't a file has no bytes that could be anybody's.
            guard file.status.kind == S_IFREG else { throw SystemError("open", errno: ENOENT) }
            var offset = 0
            repeat {
                buffer = takeBuffer(state)
                guard let taken = buffer else { return false }
                let count = try file.read(at: offset, into: taken)
                offset += count
                // A file that was cut meanwhile has an end, too.
                let isLast = offset >= file.size || count == 0
                give(Piece(bytes: UnsafeRawBufferPointer(rebasing: taken[..<count]), buffer: taken, isLast: isLast))
                if isLast { return true }
            } while true
        } catch {
            give(Piece(bytes: UnsafeRawBufferPointer(start: nil, count: 0), buffer: buffer, error: error, isLast: true))
            return true
        }
    }

    /// Waits for one; nil when nothing is to be read any more.
    private static func takeBuffer(_ state: Monitor<State>) -> UnsafeMutableRawBufferPointer? {
        state.wait { state -> UnsafeMutableRawBufferPointer?? in
            if state.isStopped { return .some(nil) }
            return state.free.popLast().map { .some($0) }
        }
    }
}
