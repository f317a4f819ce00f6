import FastCGI
import Metrics
import ShaCache
import Storage

/// Sends a client a blob out of the file that it is coming into.
struct Feeding {
    private let fetch: Fetch
    private let file: FetchedFile
    /// Of the blob, in bytes.
    private let size: Int
    private let recorder: Recorder

    private static let interval = Duration.seconds(1)
    /// In bytes: of what is sent at once, the figures know when it is.
    private static let pieceSize = 1 << 20

    init(_ fetch: Fetch, _ file: FetchedFile, size: Int, _ recorder: Recorder) {
        (self.fetch, self.file, self.size, self.recorder) = (fetch, file, size, recorder)
    }

    /// Sends all that is asked for, or ends the connection in the middle: when the blob isn't coming, its client sees that
    /// the answer is cut.
    ///
    /// - Parameter isWhole: a range that is asked for is void.
    func feed(_ request: FetchRequest, isWhole: Bool, _ source: borrowing FastCGIRequest) {
        guard let range = source.begin(fetch.digest, of: size, for: request, isWhole: isWhole) else { return }
        send(range, to: source)
    }

    private func send(_ range: Range<Int>, to source: borrowing FastCGIRequest) {
        // The header doesn't wait for bytes that are yet to come.
        guard source.flush() else { return source.giveUp() }
        var offset = range.lowerBound
        while offset < range.upperBound {
            switch fetch.waitFed(atMost: Self.interval, for: { Self.state(of: $0, beyond: offset) }) {
            case .available(let end):
                let next = min(end, range.upperBound, offset + Self.pieceSize)
                guard source.send(offset..<next, of: file.body.descriptor) else { return source.giveUp() }
                recorder.add(next - offset, to: .fedBytes)
                offset = next
            case .over: return source.giveUp()
            case nil: if source.isAbandoned { return source.giveUp() }
            }
        }
    }

    private enum State {
        case available(end: Int)
        case over
    }

    private static func state(of progress: Fetch.Progress, beyond offset: Int) -> State? {
        if progress.sendable > offset { return .available(end: progress.sendable) }
        if case .failed = progress.phase { return .over }
        // It has fewer bytes than were announced, and the right hash: the announcement was wrong.
        return progress.isVerified ? .over : nil
    }
}

extension FastCGIRequest {
    /// Sends the head of an answer that has a blob, or the part of it that is asked for.
    ///
    /// - Parameters:
    ///   - size: in bytes.
    ///   - isWhole: a range that is asked for is void.
    /// - Returns: the bytes that are to follow; nil when that was all, since there are none there.
    func begin(_ digest: Digest, of size: Int, for request: FetchRequest, isWhole: Bool) -> Range<Int>? {
        let counts = !isWhole && (request.ifRange.isEmpty || request.ifRange == "\"\(digest)\"")
        switch counts ? ByteRange(request.range, of: size) : .whole {
        case .whole:
            begin(status: "200 OK", headers: digest.blobHeaders + [("Content-Length", "\(size)")])
            return 0..<size
        case .part(let range):
            begin(
                status: "206 Partial Content",
                headers: digest.blobHeaders + [
                    ("Content-Length", "\(range.count)"),
                    ("Content-Range", "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)"),
                ])
            return range
        case .unsatisfiable:
            send(
                status: "416 Requested Range Not Satisfiable",
                headers: [
                    ("Content-Range", "bytes */\(size)"), ("Content-Length", "0"), ("Cache-Control", "no-store"),
                ],
                body: [])
            return nil
        }
    }
}
