import Glibc
import OpenSSL
import ShaCache
import System

/// Hashes files one after the other, while another thread reads on ahead: disk and processor work at the same time.
final class ReadAhead: Sendable {
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
        var read: [Piece] = []
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

    private let files: [(digest: Digest, path: String)]
    private let state: Monitor<State>
    // Only through the pieces in the state, each of which one thread has at a time.
    nonisolated(unsafe) private let memory: UnsafeMutableRawBufferPointer

    private init(_ files: [(digest: Digest, path: String)]) {
        self.files = files
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.pieces * Self.pieceSize, alignment: UncachedFile.alignment)
        self.memory = memory
        state = Monitor(
            State(
                free: (0..<Self.pieces).map {
                    UnsafeMutableRawBufferPointer(rebasing: memory[$0 * Self.pieceSize..<($0 + 1) * Self.pieceSize])
                }))
    }

    deinit { memory.deallocate() }

    /// Calls `body` with each of the files, in their order.
    ///
    /// - Parameter pace: called with how many bytes were hashed, to be held up by it.
    static func hash(
        _ files: [(digest: Digest, path: String)], pace: (Int) -> Void = { _ in },
        _ body: (File) throws -> Void
    ) throws {
        let ahead = ReadAhead(files)
        let thread = try Thread { ahead.readAll() }
        defer {
            ahead.state.change { $0.isStopped = true }
            thread.join()
        }
        for file in files { try body(ahead.hashNext(file.digest, file.path, pace)) }
    }

    // MARK: The thread that reads

    private func readAll() {
        for file in files { guard read(file.path) else { return } }
    }

    /// - Returns: false when nothing is to be read any more.
    private func read(_ path: String) -> Bool {
        var buffer: UnsafeMutableRawBufferPointer?
        do throws(SystemError) {
            let file = try UncachedFile(blob: path)
            // What isn't a file has no bytes that could be anybody's.
            guard file.status.kind == S_IFREG else { throw SystemError("open", errno: ENOENT) }
            var offset = 0
            repeat {
                buffer = takeBuffer()
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
    private func takeBuffer() -> UnsafeMutableRawBufferPointer? {
        state.wait { state -> UnsafeMutableRawBufferPointer?? in
            if state.isStopped { return .some(nil) }
            return state.free.popLast().map { .some($0) }
        }
    }

    private func give(_ piece: Piece) { state.change { $0.read.append(piece) } }

    // MARK: The thread that hashes

    private func hashNext(_ digest: Digest, _ path: String, _ pace: (Int) -> Void) throws -> File {
        let hash = Hash(.sha512)
        var bytes = 0
        func file(_ presence: LocalBlobs.Presence) -> File {
            File(digest: digest, path: path, presence: presence, bytes: bytes)
        }
        while true {
            let piece = state.wait { $0.read.isEmpty ? nil : $0.read.removeFirst() }
            hash.update(piece.bytes)
            bytes += piece.bytes.count
            pace(piece.bytes.count)
            if let buffer = piece.buffer { state.change { $0.free.append(buffer) } }
            if let error = piece.error { return file(try LocalBlobs.Presence(ofUnreadable: error)) }
            guard piece.isLast else { continue }
            let isIntact = Digest(bytes: hash.finish()) == digest
            return file(isIntact ? .intact : LocalBlobs.hasOtherBytes)
        }
    }
}
