import FastCGI
import Fixtures
import Foundation
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(15))) struct ThreadPoolTests {
    private let directory: TemporaryDirectory
    private let socket: ListeningSocket

    init() throws {
        directory = try TemporaryDirectory()
        socket = ListeningSocket(in: directory)
    }

    @Test func `what was begun is answered and concluded before the pool is finished`() {
        let (pool, begun, mayEnd) = (ThreadPool(), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let concluded = Counter()
        pool.start(2, on: Listener(inherited: socket.descriptor)) {
            { request in
                begun.signal()
                mayEnd.wait()
                request.send(status: "200 OK", headers: [], body: Array("late".utf8))
                return { concluded.value.add(1, ordering: .relaxed) }
            }
        }
        let client = WireClient(to: socket.path)
        client.send([:])
        begun.wait()
        Thread {
            Thread.sleep(forTimeInterval: 0.2)
            mayEnd.signal()
        }.start()
        pool.finish()
        #expect(concluded.value.load(ordering: .relaxed) == 1)
        #expect(client.answer().hasEnd)
    }

    /// Those who share the socket answer it.
    @Test func `a finished pool leaves requests to others`() {
        let (pool, successor) = (ThreadPool(), ThreadPool())
        let answering: @Sendable (String) -> ThreadPool.Responder = { name in
            { request in
                request.send(status: "200 OK", headers: [], body: Array(name.utf8))
                return {}
            }
        }
        pool.start(2, on: Listener(inherited: socket.descriptor)) { answering("first") }
        pool.finish()
        let client = WireClient(to: socket.path)
        client.send([:])
        successor.start(1, on: Listener(inherited: socket.descriptor)) { answering("second") }
        #expect(String(decoding: client.answer().output, as: UTF8.self).hasSuffix("second"))
        successor.finish()
    }

    /// Fails when requests that are answered, or none that come, count for nothing.
    @Test func `a socket hangs when all of its threads are at work, and gets on with the first that is ready`() {
        let (pool, begun, mayEnd) = (ThreadPool(), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        pool.start(2, on: Listener(inherited: socket.descriptor)) {
            { request in
                begun.signal()
                mayEnd.wait()
                request.send(status: "200 OK", headers: [], body: [])
                return {}
            }
        }
        pool.waitUntilAccepting()
        let first = WireClient(to: socket.path)
        first.send([:])
        begun.wait()
        // The other one waits for requests.
        waitUntil { [stall = pool.stall] in pool.stall < stall }
        // libfcgi closes a connection on which nothing comes for two seconds.
        let second = WireClient(to: socket.path)
        second.send([:])
        begun.wait()
        waitUntil { pool.stall > .seconds(2) }
        let stall = pool.stall
        mayEnd.signal()
        waitUntil { pool.stall < stall }
        mayEnd.signal()
        pool.finish()
    }

    private func waitUntil(_ condition: () -> Bool) {
        while !condition() { Thread.sleep(forTimeInterval: 0.01) }
    }
}

private final class Counter: Sendable {
    let value = Atomic(0)
}
