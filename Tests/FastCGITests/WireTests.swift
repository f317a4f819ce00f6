import Fixtures
import Foundation
import Synchronization
import Testing

@testable import FastCGI

/// The records of FastCGI 1.0, as a web server may write them.
@Suite(.timeLimit(.minutes(15))) struct WireTests {
    private let directory: TemporaryDirectory
    private let socket: ListeningSocket
    private let listener: Listener
    private let shutdown = Shutdown()

    init() throws {
        directory = try TemporaryDirectory()
        socket = ListeningSocket(in: directory)
        listener = Listener(inherited: socket.descriptor)
    }

    /// What a thread does with so many requests.
    private func serve(_ count: Int, _ work: @escaping @Sendable (borrowing FastCGIRequest) -> Void) {
        Thread { [listener, shutdown] in
            let acceptor = Acceptor(listener: listener, shutdown: shutdown)
            for _ in 0..<count { _ = acceptor.next(work) }
        }.start()
    }

    /// Answers with the parameter `P`, and the body.
    private static let echo: @Sendable (borrowing FastCGIRequest) -> Void = { request in
        let body = request.body(upTo: 1 << 20)
        request.send(status: "200 OK", headers: [("P", request.text("P"))], body: body)
    }

    private func answer(to bytes: [UInt8]) -> WireClient.Answer {
        serve(1, Self.echo)
        let client = WireClient(to: socket.path)
        client.send(bytes: bytes)
        return client.answer()
    }

    private static func echoed(_ parameter: String, _ body: String) -> String {
        "Status: 200 OK\r\nP: \(parameter)\r\n\r\n\(body)"
    }

    /// By hand, from the specification: version, type, id in two bytes, length in two, padding, reserved.
    @Test func `a request is read byte by byte as it is specified`() {
        let answer = answer(
            to: [1, 1, 0, 1, 0, 8, 0, 0] + [0, 1, 0, 0, 0, 0, 0, 0]
                // P=v, with lengths of one byte and of four, and padding.
                + [1, 4, 0, 1, 0, 12, 5, 0] + [1, 2] + Array("Pvw".utf8) + [1, 128] + [0, 0, 1] + Array("AB".utf8)
                + [9, 9, 9, 9, 9] + [1, 4, 0, 1, 0, 0, 0, 0]
                + [1, 5, 0, 1, 0, 4, 3, 0] + Array("body".utf8) + [7, 7, 7] + [1, 5, 0, 1, 0, 0, 0, 0])
        #expect(String(decoding: answer.output, as: UTF8.self) == Self.echoed("vw", "body"))
        // Application status 0, protocol status FCGI_REQUEST_COMPLETE.
        #expect(answer.end == [0, 0, 0, 0, 0, 0, 0, 0] && answer.errno == 0)
    }

    @Test func `records may be cut anywhere`() {
        let parameters = pair("A", "1") + pair("P", String(repeating: "x", count: 300)) + pair("Z", "2")
        var bytes = record(.begin, [0, 1, 0, 0, 0, 0, 0, 0])
        for start in stride(from: 0, to: parameters.count, by: 7) {
            bytes += record(.parameters, Array(parameters[start..<min(start + 7, parameters.count)]))
        }
        bytes += record(.parameters, [])
        for byte in "in pieces".utf8 { bytes += record(.input, [byte]) }
        let answer = answer(to: bytes + record(.input, []))
        let text = String(decoding: answer.output, as: UTF8.self)
        #expect(text == Self.echoed(String(repeating: "x", count: 300), "in pieces") && answer.hasEnd)
    }

    @Test(arguments: [127, 128, 255, 256, 70_000]) func `values may have any length`(_ length: Int) {
        serve(1) { $0.send(status: "\($0.text("P").utf8.count) \($0.text("Q"))", headers: [], body: []) }
        let client = WireClient(to: socket.path)
        let parameters = pair("P", String(repeating: "x", count: length)) + pair("Q", "q")
        var bytes = record(.begin, [0, 1, 0, 0, 0, 0, 0, 0])
        for start in stride(from: 0, to: parameters.count, by: 60_000) {
            bytes += record(.parameters, Array(parameters[start..<min(start + 60_000, parameters.count)]))
        }
        client.send(bytes: bytes + record(.parameters, []) + record(.input, []))
        #expect(String(decoding: client.answer().output, as: UTF8.self) == "Status: \(length) q\r\n\r\n")
    }

    @Test func `no more of a body is read than is asked for`() {
        serve(1) { $0.send(status: "200 OK", headers: [], body: $0.body(upTo: 3)) }
        let client = WireClient(to: socket.path)
        client.send([:], body: Array("abcdef".utf8))
        let answer = client.answer()
        #expect(String(decoding: answer.output, as: UTF8.self).hasSuffix("\r\n\r\nabc") && answer.hasEnd)
    }

    /// Its length says so: nobody is left to read the answer, but what was asked for may be harmful in part.
    @Test func `a body that is cut is shorter than its length, and the next request is answered`() {
        let read = Mutex(-1)
        let seen = DispatchSemaphore(value: 0)
        serve(2) { request in
            if request.text("CONTENT_LENGTH") == "10" {
                read.withLock { $0 = request.body(upTo: 100).count }
                seen.signal()
            }
            request.send(status: "200 OK", headers: [], body: Array("next".utf8))
        }
        let parameters = record(.parameters, pair("CONTENT_LENGTH", "10")) + record(.parameters, [])
        let bytes = record(.begin, [0, 1, 0, 0, 0, 0, 0, 0]) + parameters + record(.input, Array("four".utf8))
        WireClient(to: socket.path).send(bytes: bytes)
        #expect(seen.wait(timeout: .now() + 20) == .success)
        #expect(read.withLock { $0 } == 4)
        let client = WireClient(to: socket.path)
        client.send([:])
        #expect(String(decoding: client.answer().output, as: UTF8.self).hasSuffix("next"))
    }

    /// What is cut within its parameters libfcgi takes for whole: it reaches the worker, and nobody reads the answer.
    @Test func `what isn't the beginning of a request reaches nobody`() {
        let begin = record(.begin, [0, 1, 0, 0, 0, 0, 0, 0])
        let handled = Mutex(0)
        serve(1) { request in
            handled.withLock { $0 += 1 }
            request.send(status: "200 OK", headers: [], body: Array(request.text("P").utf8))
        }
        let other = Array("GET / HTTP/1.1\r\n\r\n".utf8)
        let cut: [[UInt8]] = [[], begin.dropLast(), other]
        for bytes in cut { WireClient(to: socket.path).send(bytes: bytes) }
        let client = WireClient(to: socket.path)
        client.send(["P": "whole"])
        #expect(String(decoding: client.answer().output, as: UTF8.self).hasSuffix("whole"))
        #expect(handled.withLock { $0 } == 1)
    }

    @Test func `after requests that are cut within their parameters the next one is answered`() {
        let begin = record(.begin, [0, 1, 0, 0, 0, 0, 0, 0])
        let parameters = record(.parameters, pair("P", "cut"))
        Thread { [listener, shutdown] in
            let acceptor = Acceptor(listener: listener, shutdown: shutdown)
            while acceptor.next(Self.echo) != nil {}
        }.start()
        for bytes in [begin, begin + parameters, begin + parameters.dropLast()] {
            WireClient(to: socket.path).send(bytes: bytes)
        }
        let client = WireClient(to: socket.path)
        client.send(["P": "whole"])
        #expect(String(decoding: client.answer().output, as: UTF8.self) == Self.echoed("whole", ""))
        shutdown.request()
    }
}
