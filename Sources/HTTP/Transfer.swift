import CCurl
import ShaCache

/// One request on its way: what libcurl's callbacks work on.
public final class Transfer {
    /// Takes bytes of an answer, in order.
    public typealias Receiver = (Head, UnsafeRawBufferPointer) throws -> Void

    private let request: HTTPRequest
    private let receive: Receiver?
    private var status = 0
    private var version: Substring = ""
    /// Whether the answer has begun, and not only an interim one (RFC 9110, 15.2).
    private var isAnswered = false
    private var headers: [String: String] = [:]
    /// In bytes, of all answers to this request.
    private var headerBytes = 0
    private var collected: [UInt8] = []
    private var sent = 0
    private var isSent = false
    private var thrown: (any Error)?
    /// Whether what was taken of its body is enough.
    private var isCut = false
    private var watch = StallWatch()
    /// In bytes.
    private var heard = 0

    private static let collectionLimit = 64 << 20
    /// Many times what servers send.
    private static let headerLimit = 256 << 10

    init(_ request: HTTPRequest, receive: Receiver?) {
        self.request = request
        self.receive = receive
        isSent = request.body == nil
    }

    /// Sets the callbacks, and keeps this object alive while `perform` runs.
    func connect(to handle: UnsafeMutableRawPointer, _ perform: () -> CURLcode) -> CURLcode {
        let context = Unmanaged.passUnretained(self).toOpaque()
        curl_set_piece_function(handle, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            of(context).takeHeader(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
        }
        curl_set_pointer(handle, CURLOPT_HEADERDATA, context)
        curl_set_piece_function(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            // Any other number than that of the bytes ends the transfer.
            of(context).take(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : .max
        }
        curl_set_pointer(handle, CURLOPT_WRITEDATA, context)
        curl_set_piece_function(handle, CURLOPT_READFUNCTION) { bytes, size, count, context in
            of(context).give(UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
        }
        curl_set_pointer(handle, CURLOPT_READDATA, context)
        curl_set_seek_function(handle) { context, offset, _ in
            of(context).sent = Int(offset)
            return CURL_SEEKFUNC_OK
        }
        curl_set_pointer(handle, CURLOPT_SEEKDATA, context)
        curl_set_number(handle, CURLOPT_NOPROGRESS, 0)
        curl_set_progress_function(handle) { context, _, received, _, sent in
            of(context).goesOn(received: received, sent: sent) ? 0 : 1
        }
        curl_set_pointer(handle, CURLOPT_XFERINFODATA, context)
        return withExtendedLifetime(self) { perform() }
    }

    /// Whether nothing of an answer has come, and a second request does no more than the first.
    var mayBeSentAnew: Bool { [.get, .head].contains(request.method) && headerBytes == 0 && thrown == nil }

    /// What came of it.
    func response(_ code: CURLcode, words: String, redirection: String?, wasSent: Bool) throws -> HTTPResponse {
        let isRefused = code == CURLE_UNSUPPORTED_PROTOCOL && (300..<400).contains(status)
        if thrown == nil, code != CURLE_OK, !isCut {
            thrown = isRefused ? refusedRedirect : HTTPFailure(code, words, url: request.shownURL)
        }
        if var failure = thrown as? HTTPFailure {
            (failure.isOfAnswer, failure.wasSent) = (isAnswered, wasSent)
            throw failure
        }
        if let thrown { throw thrown }
        return HTTPResponse(
            head: Head(status: status, version: version, headers: headers), body: collected, redirection: redirection)
    }

    private var refusedRedirect: HTTPFailure {
        // Credentials are in queries.
        let target = withoutCredentials(headers["location"] ?? "").prefix { $0 != "?" }
        return HTTPFailure(
            .redirect,
            "\(request.shownURL): redirects to \(target), which is not \(request.redirectSchemes.replacing(",", with: " or "))"
        )
    }

    /// - Returns: whether the request goes on.
    private func takeHeader(_ line: UnsafeRawBufferPointer) -> Bool {
        headerBytes += line.count
        guard headerBytes <= Self.headerLimit else {
            thrown =
                thrown
                ?? HTTPFailure(.notTheFile, "\(request.shownURL): sends more than \(Self.headerLimit) bytes of headers")
            return false
        }
        if line.starts(with: "HTTP/".utf8) {
            begin(String(decoding: line, as: UTF8.self))
        } else if let colon = line.firstIndex(of: UInt8(ascii: ":")) {
            let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
            headers[name] = String(decoding: line[(colon + 1)...].trimmed, as: UTF8.self)
        } else {
            // The empty line behind them.
            isAnswered = status >= 200
        }
        return true
    }

    private func begin(_ statusLine: String) {
        // After an interim answer or a redirect, the next one.
        status = statusLine.split(separator: " ").dropFirst().first.flatMap { Int($0.prefix(3)) } ?? 0
        version = statusLine.prefix { $0 != " " }
        isAnswered = false
        headers = [:]
    }

    private func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let head = Head(status: status, version: version, headers: headers)
        guard head.isSuccess, let receive else {
            let limit = request.bodyLimit ?? Self.collectionLimit
            collected.append(contentsOf: bytes.prefix(max(0, limit - collected.count)))
            isCut = request.bodyLimit != nil && collected.count == limit
            return !isCut
        }
        return attempt { try receive(head, bytes) } != nil
    }

    private func give(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard let body = request.body else { return 0 }
        guard let count = attempt({ try body.read(sent, buffer) }) else { return Int(CURL_READFUNC_ABORT) }
        // Waiting for our own bytes says nothing about the other side.
        watch.restart()
        sent += count
        isSent = count == 0 || sent == body.count
        return count
    }

    private func goesOn(received: Int, sent: Int) -> Bool {
        if let watch = request.watch { return goesOn(received: received, watch) }
        let timeouts = request.timeouts
        let wait = !isSent ? nil : !isAnswered ? timeouts.answer : received == 0 ? timeouts.firstByte : nil
        let limit = wait ?? timeouts.stall
        let least = wait == nil ? timeouts.leastBytes : 0
        guard !watch.isMoving(received + sent, byAtLeast: max(1, least), within: limit) else { return true }
        let what = least == 0 ? "nothing moved" : "less than \(least) bytes came"
        thrown = thrown ?? HTTPFailure(.interrupted, "\(request.shownURL): \(what) for \(limit) s")
        return false
    }

    private func goesOn(received: Int, _ watch: SilenceWatch) -> Bool {
        // Less where libcurl begins anew, after a redirect.
        watch.hear(max(0, received - heard))
        heard = received
        guard watch.isOver else { return true }
        thrown = thrown ?? HTTPFailure(.silent, "\(request.shownURL): \(watch.words)")
        return false
    }

    /// Errors can't pass through C: the first is kept, and thrown when libcurl has returned.
    private func attempt<Result>(_ body: () throws -> Result) -> Result? {
        do {
            return try body()
        } catch {
            thrown = thrown ?? error
            return nil
        }
    }
}

private func of(_ context: UnsafeMutableRawPointer?) -> Transfer {
    Unmanaged<Transfer>.fromOpaque(context!).takeUnretainedValue()
}

/// Notices when nothing moves any more.
private struct StallWatch {
    private var count = 0
    private var since = ContinuousClock.now

    mutating func restart() { since = .now }

    /// - Parameter least: how many bytes more than before are a movement; less than before, as behind a redirect, are too.
    mutating func isMoving(_ count: Int, byAtLeast least: Int, within seconds: Int) -> Bool {
        let now = ContinuousClock.now
        if count < self.count || count - self.count >= least { (self.count, since) = (count, now) }
        return now - since < .seconds(seconds)
    }
}

extension Slice<UnsafeRawBufferPointer> {
    /// Without the white space at either end, the line's own end too.
    fileprivate var trimmed: Self {
        let start = firstIndex { $0 > 0x20 } ?? endIndex
        let last = lastIndex { $0 > 0x20 } ?? startIndex
        return start <= last ? self[start...last] : self[endIndex...]
    }
}
