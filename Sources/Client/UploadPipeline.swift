import ShaCache
import System

/// Several sources on their way into the cache, in stages that work at once: hash, ask what is there, send, read back.
///
/// Where the server takes lists, requests are batched: all that waits during one goes into the next one, so that a round
/// trip counts for hundreds of files. What can't be hashed beforehand (what is packed, fetched or large) goes through
/// `Uploader.store` in one piece.
public struct UploadPipeline: Sendable {
    private let settings: Cache.Settings
    private let signature: Signature
    private let reporter: Reporter
    private let senders: Int

    /// - Parameter senders: connections that send at once.
    public init(_ settings: Cache.Settings, signature: Signature, senders: Int, reporter: Reporter) {
        self.settings = settings
        self.signature = signature
        self.senders = senders
        self.reporter = reporter
    }

    /// Returns when all are through.
    ///
    /// - Parameters:
    ///   - sources: with what each is called in messages.
    ///   - finished: is told once for each source what came of it, by its index; on several threads.
    public func store(
        _ sources: [(source: Source, item: String)],
        finished: @escaping @Sendable (Int, Result<Uploader.Stored, any Error>) -> Void
    ) throws {
        guard sources.count > 1 else {
            for (source, item) in sources { finished(0, Result { try uploader().store(source, item: item) }) }
            return
        }
        let stages = UploadStages(sources, settings: settings, uploader: uploader, finished: finished)
        let asker = try Background { stages.askAll() }
        let crew = try (0..<min(senders, sources.count)).map { _ in try Background { stages.sendAll() } }
        let verifier = try Background { stages.readBackAll() }
        try concurrently(Array(sources.indices), threads: processorCount) { _, index in stages.hash(index) }
        stages.hashed.close()
        try asker.value()
        stages.lacking.close()
        for sender in crew { try sender.value() }
        stages.accepted.close()
        try verifier.value()
    }

    private func uploader() -> Uploader { Uploader(Cache(settings), signature: signature, reporter: reporter) }
}

/// Backpressure on hashing: what is sent is read again, and shall still be in the page cache.
final class ReadAhead: Sendable {
    private struct Amount {
        var files = 0
        /// In bytes.
        var size = 0
    }

    private static let files = 10_000
    private static let size = 256 << 20

    private let amount = Monitor(Amount())

    /// Waits until there is room for one file more, of `size` bytes.
    func enter(_ size: Int) {
        amount.wait { amount -> Void? in
            let hasRoom = amount.files < Self.files && amount.size + size <= Self.size
            guard hasRoom || amount.files == 0 else { return nil }
            amount.files += 1
            amount.size += size
            return ()
        }
    }

    func leave(_ size: Int) {
        amount.change { amount in
            amount.files -= 1
            amount.size -= size
        }
    }
}
