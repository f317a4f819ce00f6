import HTTP
import OpenSSL
import ShaCache
import Storage
import System

/// A blob that goes to one client without being stored, since the store has no room for it: through a little memory, at the
/// client's pace. Its last part waits for its hash as ever.
final class Passage: Sendable {
    private struct State {
        var buffer: [UInt8] = []
        /// As the upstream announces it, in bytes; nil before.
        var size: Int?
        /// How many bytes have come.
        var received = 0
        /// Whether it ended, and with the right hash.
        var isRight: Bool?
        /// Whether an upstream has it, and doesn't say how much it is.
        var isUnsized = false
        /// Whether its client has left.
        var isLeft = false

        /// How many bytes of the buffer may be sent by now.
        var sendable: Int {
            let end = isRight == true ? received : min(received, max(0, (size ?? 0) - Fetch.heldBack))
            return max(0, end - (received - buffer.count))
        }
    }

    private let state = Monitor(State())

    /// In bytes: more than is held back, and a piece.
    private static let room = 256 << 10

    // MARK: The thread that fetches

    /// Whether nothing has come yet.
    var isEmpty: Bool { state.changeQuietly { $0.received == 0 } }

    /// - Parameter isRight: whether all has come, with the right hash.
    func end(isRight: Bool) { state.change { $0.isRight = isRight } }

    /// - Returns: false when that upstream doesn't have it, or doesn't say how much it is.
    /// - Throws: `UpstreamFailure`; `Abandoned` when its client has left.
    func receive(_ digest: Digest, from server: UpstreamServer, loop: String) throws -> Bool {
        let hash = RunningHash()
        let answer: UpstreamServer.Answer
        do {
            answer = try server.ask(.get, digest, loop: loop) { [self] _, part, bytes in
                guard let size = part.size else { throw Unsized() }
                hash.update(bytes)
                try put(bytes, size: size)
            }
        } catch is Unsized {
            state.change { $0.isUnsized = true }
            return false
        }
        guard try server.has(digest, answer.head) else { return false }
        guard Digest(bytes: hash.finish()) == digest else {
            throw UpstreamFailure(.wrongBytes, "\(server.upstream.shacache)/\(digest): sent another hash")
        }
        return true
    }

    /// Waits for room.
    private func put(_ bytes: UnsafeRawBufferPointer, size: Int) throws {
        let isLeft = state.wait { state -> Bool? in
            if state.isLeft { return true }
            return state.buffer.count <= Self.room ? false : nil
        }
        guard !isLeft else { throw Abandoned() }
        state.change { state in
            state.size = size
            state.buffer.append(contentsOf: bytes)
            state.received += bytes.count
        }
    }

    // MARK: The client

    enum Arrival {
        case bytes([UInt8])
        /// With all that may be sent.
        case end
    }

    enum Outlook {
        /// It comes, with that many bytes.
        case size(Int)
        /// It can't come through here, and may once there is room to store it.
        case unsized
        case absent
    }

    /// Waits for the announced size.
    ///
    /// - Returns: nil when there is none yet.
    func outlook(atMost limit: Duration) -> Outlook? {
        state.wait(atMost: limit) { state in
            if let size = state.size { return .size(size) }
            // An empty one had no bytes that its size came with.
            return state.isRight.map { $0 ? .size(state.received) : state.isUnsized ? .unsized : .absent }
        }
    }

    /// Waits for bytes that may be sent, and takes them.
    func next(atMost limit: Duration) -> Arrival? {
        let arrival: Arrival? = state.wait(atMost: limit) { state in
            guard state.sendable == 0 else {
                defer { state.buffer.removeFirst(state.sendable) }
                return .bytes(Array(state.buffer[..<state.sendable]))
            }
            return state.isRight.map { _ in .end }
        }
        // For the thread that waits for room.
        state.change { _ in }
        return arrival
    }

    func leave() { state.change { $0.isLeft = true } }
}

/// Without its size, a client wouldn't see that an answer is cut.
private struct Unsized: Error {}

/// A hash that a closure updates.
private final class RunningHash {
    private var hash: Hash? = Hash(.sha512)

    func update(_ bytes: UnsafeRawBufferPointer) { hash!.update(bytes) }

    func finish() -> [UInt8] { hash.take()!.finish() }
}
