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
