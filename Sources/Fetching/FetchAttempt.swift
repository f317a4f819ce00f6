import HTTP
import Metrics
import ShaCache
import Storage

/// What is done to fetch a blob from one upstream. Belongs to one thread.
struct FetchAttempt {
    private let fetch: Fetch
    private let server: UpstreamServer
    private let files: LocalBlobs
    private let loop: String
    private let pool: HashingPool
    private let recorder: Recorder

    init(
        _ fetch: Fetch, from server: UpstreamServer, in files: LocalBlobs, loop: String, _ pool: HashingPool,
        _ recorder: Recorder
    ) {
        (self.fetch, self.server, self.files, self.loop) = (fetch, server, files, loop)
        (self.pool, self.recorder) = (pool, recorder)
    }

    /// How often what was interrupted is gone on with.
    private static let resumptions = 3
    /// In seconds: while a stall is gone on with, a client gets nothing for so much longer than the stall timeout.
    private static let resumptionTime = 10

    /// - Parameter store: called with the file when its hash is right.
    /// - Returns: false when the upstream doesn't have it.
    /// - Throws: `UpstreamFailure`, `StoreError` or `Abandoned`.
    func fetch(_ store: (FetchedFile, Int, Fetch, UpstreamServer) -> Void) throws -> Bool {
        let file = FetchedFile(try SpooledBody(of: fetch.digest, from: server.name, in: files))
        let reception = try Reception(fetch, into: file, in: files, pool)
        do {
            let wasThere = reception.count
            guard try receive(reception) else {
                file.body.discard()
                return false
            }
            if try !reception.verify() {
                guard wasThere > 0 else { throw wrongBytes(reception.count) }
                guard fetch.restart() else {
                    throw UpstreamFailure(.damagedPart, "the \(wasThere) bytes of an earlier try were not the blob's")
                }
                try reception.clear()
                guard try receive(reception) else { return false }
                guard try reception.verify() else { throw wrongBytes(reception.count) }
            }
            fetch.noteVerified(reception.count)
            store(file, reception.count, fetch, server)
            return true
        } catch {
            if !isOfUse(reception, after: error) { file.body.discard() }
            throw error
        }
    }

    /// Whether another try may go on with what is there: what can't be finished only takes room. Of a blob whose size the
    /// upstream doesn't say it may be any amount.
    private func isOfUse(_ reception: Reception, after error: any Error) -> Bool {
        guard reception.count > 0, reception.isOfKnownSize else { return false }
        return error is Abandoned || (error as? UpstreamFailure)?.leavesPart ?? false
    }

    private func wrongBytes(_ count: Int) -> UpstreamFailure {
        UpstreamFailure(
            .wrongBytes, "\(server.upstream.shacache)/\(fetch.digest): sent \(count) bytes with another hash")
    }

    /// - Returns: false when the upstream doesn't have it.
    private func receive(_ reception: Reception) throws -> Bool {
        var resumptions = 0
        while true {
            let before = reception.count
            do {
                return try receiveOnce(reception)
            } catch let failure as UpstreamFailure
                where failure.reason == .interrupted && reception.count > before && resumptions < Self.resumptions
            {
                resumptions += 1
            }
        }
    }

    private func receiveOnce(_ reception: Reception) throws -> Bool {
        reception.expectAnswer()
        let start = reception.count
        let time = reception.silence.map { max(0, server.upstream.stallTimeout - $0) + Self.resumptionTime }
        let head = try server.ask(.get, fetch.digest, from: start, within: time, loop: loop) { head, part, bytes in
            recorder.add(bytes.count, to: .fetchedBytes)
            try reception.receive(head, part, bytes)
        }.head
        switch head.status {
        case 206: return true
        // There is no more than what is there, or that is of another one.
        case 416 where start > 0 && head.sizeWithoutPart == start: return true
        case 416 where start > 0:
            try reception.clear()
            return try receiveOnce(reception)
        default: return try server.has(fetch.digest, head)
        }
    }
}
