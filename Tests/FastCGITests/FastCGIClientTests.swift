import Fixtures
import Foundation
import System
import Testing

@testable import FastCGI

@Suite(.timeLimit(.minutes(15))) struct FastCGIClientTests {
    private let directory: TemporaryDirectory
    private let socket: ListeningSocket

    init() throws {
        directory = try TemporaryDirectory()
        socket = ListeningSocket(in: directory)
    }

    private func serve(_ work: @escaping @Sendable (borrowing FastCGIRequest) -> Void) {
        let listener = Listener(inherited: socket.descriptor)
        Thread { _ = Acceptor(listener: listener, shutdown: Shutdown()).next(work) }.start()
    }

    private func ask(_ path: String, _ parameters: [(name: String, value: String)]) throws -> [UInt8]? {
        try FastCGIClient.ask(path, parameters, pause: .seconds(60)) {}
    }

    @Test func `a request's parameters arrive, and the answer does as a whole`() throws {
        serve { request in
            request.send(
                status: "200 OK", headers: [("P", request.text("P"))], body: [UInt8](repeating: 97, count: 300_000))
        }
        let value = String(repeating: "é", count: 200)
        let output = try #require(try ask(socket.path, [("A", ""), ("P", value)]))
        let head = "Status: 200 OK\r\nP: \(value)\r\n\r\n"
        #expect(output.starts(with: head.utf8) && output.count == head.utf8.count + 300_000)
    }

    @Test func `an answer that is given up is none`() throws {
        serve { request in
            request.begin(status: "200 OK", headers: [])
            _ = request.flush()
            request.giveUp()
        }
        #expect(try ask(socket.path, [("P", "")]) == nil)
    }

    @Test func `where nobody listens there is an error that names the socket`() {
        #expect { try ask("\(directory.path)/none.sock", []) } throws: { "\($0)".contains("none.sock") }
    }

    @Test func `one that says nothing is waited for as long as it may be`() throws {
        let answers = WorkQueue<Void>()
        serve { request in
            _ = answers.next()
            request.send(status: "200 OK", headers: [], body: [])
        }
        var pauses = 0
        let output = try FastCGIClient.ask(socket.path, [], pause: .milliseconds(20)) {
            pauses += 1
            if pauses == 3 { answers.add(()) }
        }
        #expect(output != nil && pauses >= 3)
        #expect(throws: SystemError.self) {
            // Nobody serves a second request.
            try FastCGIClient.ask(socket.path, [], pause: .milliseconds(20)) { () throws(SystemError) in
                throw SystemError("wait for", "it")
            }
        }
    }
}
