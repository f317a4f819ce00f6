import FastCGI
import Fixtures
import Foundation
import Testing

@Suite(.timeLimit(.minutes(15))) struct AcceptorTests {
    private let directory: TemporaryDirectory
    private let socket: ListeningSocket
    private let listener: Listener
    private let shutdown = Shutdown()

    init() throws {
        directory = try TemporaryDirectory()
        socket = ListeningSocket(in: directory)
        listener = Listener(inherited: socket.descriptor)
    }

    /// Has one request answered, by a thread of its own.
    private func answer(
        to parameters: [String: String], body: [UInt8] = [],
        _ work: @escaping @Sendable (borrowing FastCGIRequest) -> Void
    ) -> WireClient.Answer {
        let thread = Thread { [listener, shutdown] in _ = Acceptor(listener: listener, shutdown: shutdown).next(work) }
        thread.start()
        let client = WireClient(to: socket.path)
        client.send(parameters, body: body)
        return client.answer()
    }

    @Test func `parameters and body arrive, and the answer goes back whole`() {
        let long = String(repeating: "x", count: 20_000)
        let answer = answer(to: ["A": "1", "LONG": long, "BYTES": "\u{e4}"], body: Array("body".utf8)) { request in
            let body = String(decoding: request.body(upTo: 100), as: UTF8.self)
            let words = [
                request.text("A"), "\(request.text("LONG").count)", "\(request.bytes("BYTES"))", request.text("NONE"),
            ]
            request.send(
                status: "201 Created", headers: [("X-Words", words.joined(separator: " "))], body: Array(body.utf8))
        }
        #expect(
            String(decoding: answer.output, as: UTF8.self)
                == "Status: 201 Created\r\nX-Words: 1 20000 [195, 164] \r\n\r\nbody")
        #expect(answer.hasEnd && answer.errno == 0)
    }

    @Test func `an answer larger than the library's buffer arrives whole`() {
        let answer = answer(to: [:]) {
            $0.send(status: "200 OK", headers: [], body: [UInt8](repeating: 7, count: 300_000))
        }
        #expect(answer.output.count == "Status: 200 OK\r\n\r\n".utf8.count + 300_000 && answer.hasEnd)
    }

    @Test(arguments: [0..<0, 0..<1, 0..<300_000, 4097..<200_001, 299_999..<300_000])
    func `a part of a file goes behind what was sent before`(range: Range<Int>) throws {
        let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 >> 8) }
        let path = "\(directory.path)/file"
        try Data(bytes).write(to: URL(filePath: path))
        let file = try FileHandle(forReadingFrom: URL(filePath: path))
        let descriptor = file.fileDescriptor
        let answer = answer(to: [:]) { request in
            request.begin(status: "200 OK", headers: [])
            _ = Array("ab".utf8).withUnsafeBytes { request.send($0) }
            let isSent = request.send(range, of: descriptor)
            #expect(isSent)
        }
        #expect(answer.output.dropFirst("Status: 200 OK\r\n\r\n".utf8.count + 2).elementsEqual(bytes[range]))
        #expect(answer.hasEnd)
    }

    @Test func `what a file doesn't have ends the answer`() throws {
        let path = "\(directory.path)/file"
        try Data(count: 1000).write(to: URL(filePath: path))
        let file = try FileHandle(forReadingFrom: URL(filePath: path))
        let descriptor = file.fileDescriptor
        let answer = answer(to: [:]) { request in
            request.begin(status: "200 OK", headers: [])
            let isSent = request.send(0..<1001, of: descriptor)
            #expect(!isSent)
            request.giveUp()
        }
        #expect(!answer.hasEnd)
    }

    /// Fails without Acceptor.drain: a socket that is closed with unread bytes resets its peer.
    @Test func `a body that is not read doesn't spoil the answer`() {
        let answer = answer(to: [:], body: [UInt8](repeating: 1, count: 60_000)) {
            $0.send(status: "413 Content Too Large", headers: [], body: Array("too large\n".utf8))
        }
        #expect(answer.hasEnd && answer.errno == 0)
        #expect(String(decoding: answer.output, as: UTF8.self).hasSuffix("too large\n"))
    }

    @Test func `a shutdown ends a wait for requests`() {
        let ended = DispatchSemaphore(value: 0)
        Thread { [listener, shutdown] in
            let acceptor = Acceptor(listener: listener, shutdown: shutdown)
            if acceptor.next({ _ in () }) == nil { ended.signal() }
        }.start()
        Thread.sleep(forTimeInterval: 0.1)
        shutdown.request()
        ended.wait()
    }
}
