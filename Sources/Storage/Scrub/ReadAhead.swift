import Glibc
import OpenSSL
import ShaCache
import System

/// Hashes files one after the other, while other threads read on ahead: disk and processor work at the same time, and a disk
/// answers for several small files at once in little more time than for one.
final class ReadAhead: Sendable {
    typealias Request = (digest: Digest, path: String)

    /// What was read of a file.
    private struct Piece {
        let bytes: UnsafeRawBufferPointer
        /// Where they lie; nil when there are none.
        var buffer: UnsafeMutableRawBufferPointer?
        /// That it couldn't be read on.
        var error: SystemError?
        let isLast: Bool
    }

    private struct State {
        var free: [UnsafeMutableRawBufferPointer]
        /// The file that is to be read next, by its place among all.
        var next = 0
        /// The one that is hashed.
        var current = 0
        /// Of files that aren't hashed yet.
        var read: [Int: [Piece]] = [:]
        var isStopped = false
    }

    /// A file, and what its bytes are.
    struct File {
        let digest: Digest
        let path: String
        let presence: LocalBlobs.Presence
        /// How many were read.
        let bytes: Int
    }

    private static let pieceSize = 1 << 20
    private static let pieces = 8
    private static let readers = 4

    // Only through the pieces in the state, each of which one thread has at a time.
    nonisolated(unsafe) private let memory = UnsafeMutableRawBufferPointer.allocate(
        byteCount: pieces * pieceSize, alignment: UncachedFile.alignment)

    deinit { memory.deallocate() }

    /// Calls `body` with each of the files, in their order. Of one thread.
    ///
    /// - Parameter pace: called with how many bytes were hashed, to be held up by it.
    func hash(
        _ files: [Request], pace: (Int) -> Void = { _ in }, _ body: (File) throws -> Void
    ) throws {
        let state = Monitor(
            State(
                free: (0..<Self.pieces).map {
                    UnsafeMutableRawBufferPointer(rebasing: memory[$0 * Self.pieceSize..<($0 + 1) * Self.pieceSize])
                }))
        var threads: [Thread] = []
        defer {
            state.change { $0.isStopped = true }
            for thread in threads { thread.join() }
        }
        for _ in files.prefix(Self.readers) { threads.append(try Thread { Self.read(files, state) }) }
        for (place, file) in files.enumerated() {
            state.change { $0.current = place }
            try body(Self.hash(file, at: place, state, pace))
        }
    }

    // MARK: A thread that reads

    private static func read(_ files: [Request], _ state: Monitor<State>) {
        while case let place = state.changeQuietly({ state in
            defer { state.next += 1 }
            return state.next
        }), place < files.count {
            guard read(files[place].path, at: place, state) else { return }
        }
    }

    /// - Returns: false when nothing is to be read any more.
    private static func read(_ path: String, at place: Int, _ state: Monitor<State>) -> Bool {
        var buffer: UnsafeMutableRawBufferPointer?
        func give(_ piece: Piece) { state.change { $0.read[place, default: []].append(piece) } }
        do throws(SystemError) {
            let file = try UncachedFile(blob: path)
            // What isn't a file has no bytes that could be anybody's.
            guard file.status.kind == S_IFREG else { throw SystemError("open", errno: ENOENT) }
            var offset = 0
            repeat {
                buffer = takeBuffer(for: place, state)
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

    /// Waits for one; nil when nothing is to be read any more. Half of them are left to the file that is hashed: it goes on
    /// whatever lies ready of those behind it, and is read while it is hashed.
    private static func takeBuffer(for place: Int, _ state: Monitor<State>) -> UnsafeMutableRawBufferPointer? {
        state.wait { state -> UnsafeMutableRawBufferPointer?? in
            if state.isStopped { return .some(nil) }
            guard place == state.current || state.free.count > pieces / 2 else { return nil }
            return state.free.popLast().map { .some($0) }
        }
    }

    // MARK: The thread that hashes

    private static func hash(
        _ request: Request, at place: Int, _ state: Monitor<State>, _ pace: (Int) -> Void
    ) throws -> File {
        let hash = Hash(.sha512)
        var bytes = 0
        func file(_ presence: LocalBlobs.Presence) -> File {
            File(digest: request.digest, path: request.path, presence: presence, bytes: bytes)
        }
        while true {
            let piece = state.wait { state -> Piece? in
                guard state.read[place]?.isEmpty == false else { return nil }
                return state.read[place]?.removeFirst()
            }
            hash.update(piece.bytes)
            bytes += piece.bytes.count
            pace(piece.bytes.count)
            if let buffer = piece.buffer { state.change { $0.free.append(buffer) } }
            guard piece.isLast else { continue }
            state.changeQuietly { $0.read[place] = nil }
            if let error = piece.error { return file(try LocalBlobs.Presence(ofUnreadable: error)) }
            let isIntact = Digest(bytes: hash.finish()) == request.digest
            return file(isIntact ? .intact : LocalBlobs.hasOtherBytes)
        }
    }
}
