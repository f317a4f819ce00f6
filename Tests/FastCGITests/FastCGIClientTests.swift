import Fixtures
import Foundation
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

    @Test func `a request's parameters arrive, and the answer does as a whole`() throws {
        serve { request in
            request.send(
                status: "200 OK", headers: [("P", request.text("P"))], body: [UInt8](repeating: 97, count: 300_000))
        }
        let value = String(repeating: "é", count: 200)
        let output = try #require(try FastCGIClient.ask(socket.path, [("A", ""), ("P", value)]))
        let head = "Status: 200 OK\r\nP: \(value)\r\n\r\n"
        #expect(output.starts(with: head.utf8) && output.count == head.utf8.count + 300_000)
    }

    @Test func `an answer that is given up is none`() throws {
        serve { request in
            request.begin(status: "200 OK", headers: [])
            _ = request.flush()
            request.giveUp()
        }
        #expect(try FastCGIClient.ask(socket.path, [("P", "")]) == nil)
    }

    @Test func `where nobody listens there is an error that names the socket`() {
        #expect { try FastCGIClient.ask("\(directory.path)/none.sock", []) } throws: { "\($0)".contains("none.sock") }
    }
}
