import HTTP
import ShaCache
import Storage
import System

/// The bytes of a blob as they come from one upstream: they go into the file, and into its hash. Belongs to the thread that
/// fetches it.
final class Reception {
    private let fetch: Fetch
    private let files: LocalBlobs
    private let file: FetchedFile
    private let pool: HashingPool
    private var hash: FileHash
    /// How many bytes are there.
    private(set) var count: Int
    /// Of a whole answer to a request for a part: what is there already.
    private var skipped = 0
    private var announced = (count: 0, time: ContinuousClock.now)
    private var hasBegun = false
    private var lastArrival: ContinuousClock.Instant?
    /// Whether the upstream has said how much it is; true before it answers.
    private(set) var isOfKnownSize = true

    /// The clients wake up for so many bytes, or after so long: not for each piece.
    private static let step = 512 << 10
    private static let interval = Duration.milliseconds(20)

    /// Begins with what an earlier try has left.
    init(_ fetch: Fetch, into file: FetchedFile, in files: LocalBlobs, _ pool: HashingPool) throws {
        (self.fetch, self.file, self.files, self.pool) = (fetch, file, files, pool)
        count = try file.body.size()
        hash = FileHash(of: file, written: count, in: pool)
    }

    /// Throws away what is there.
    func clear() throws {
        try file.body.clear()
        hash = FileHash(of: file, written: 0, in: pool)
        count = 0
    }

    /// Before each answer.
    func expectAnswer() { hasBegun = false }

    /// How long nothing has come, in seconds; nil before the first bytes.
    var silence: Int? { lastArrival.map { Int($0.duration(to: .now) / .seconds(1)) } }

    /// - Throws: `UpstreamFailure`, `StoreError`, or `Abandoned`.
    func receive(_ head: Head, _ part: Part, _ bytes: UnsafeRawBufferPointer) throws {
        if !hasBegun { try begin(head, part) }
        let rest = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(skipped))
        skipped -= bytes.count - rest.count
        guard !rest.isEmpty else { return }
        lastArrival = .now
        try file.body.append(rest)
        hash.update(rest)
        count += rest.count
        try announce()
    }

    private func begin(_ head: Head, _ part: Part) throws {
        hasBegun = true
        isOfKnownSize = part.size != nil
        if let encoding = head["content-encoding"], encoding.lowercased() != "identity" {
            throw UpstreamFailure(.notTheBlob, "sends it encoded as \(encoding.prefix(40))")
        }
        try files.admit(bytes: max(0, (part.size ?? 0) - count))
        skipped = part.start == 0 ? count : 0
        // The first piece is announced at once.
        announced = (count, .now - Self.interval)
        fetch.beginReceiving(file, size: part.size, received: count)
    }

    private func announce() throws {
        guard count - announced.count >= Self.step || announced.time.duration(to: .now) >= Self.interval else { return }
        announced = (count, .now)
        hash.advance()
        // Its size may be unknown, and others fill the disk, too.
        try files.admit(bytes: 0)
        fetch.noteReceived(count)
        if fetch.endIfAbandoned() { throw Abandoned() }
    }

    /// Whether all that came is the blob; then its clients may have all of it.
    ///
    /// - Throws: `StoreError` when they can't be read again, or `CutFile`.
    func verify() throws -> Bool {
        fetch.noteReceived(count)
        return try hash.finish() == fetch.digest
    }
}

/// Nobody waits for it any more.
struct Abandoned: Error {}
