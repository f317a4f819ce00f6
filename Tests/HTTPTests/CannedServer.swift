import Glibc
import System

/// Answers requests with given bytes, one connection after the other, each of which it closes.
final class CannedServer: Sendable {
    private let descriptor: CInt
    private let thread: Thread
    private let heads: Monitor<[String]>
    let port: UInt16

    /// - Parameter answers: one for each connection, with line feeds for ends of lines; a connection more gets none.
    init(_ answers: String...) {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        let heads = Monitor<[String]>([])
        port = listenOnLoopback(descriptor)
        (self.descriptor, self.heads) = (descriptor, heads)
        do {
            thread = try Thread { serve(answers, on: descriptor, heads) }
        } catch {
            preconditionFailure("\(error)")
        }
    }

    /// Ends its thread. To be called once.
    func end() {
        shutdown(descriptor, CInt(SHUT_RDWR))
        thread.join()
        close(descriptor)
    }

    /// The heads of those that were answered, as they came.
    var requests: [String] { heads.wait { $0 } }

    func url(_ path: String = "/") -> String { "http://127.0.0.1:\(port)\(path)" }
}

/// - Returns: the port, a free one.
private func listenOnLoopback(_ descriptor: CInt) -> UInt16 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) { address in
        address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            let isListening =
                bind(descriptor, $0, length) == 0 && listen(descriptor, 8) == 0
                && getsockname(descriptor, $0, &length) == 0
            precondition(isListening, "a socket on the loopback interface")
        }
    }
    return UInt16(bigEndian: address.sin_port)
}

private func serve(_ answers: [String], on descriptor: CInt, _ heads: Monitor<[String]>) {
    for answer in answers {
        let connection = accept(descriptor, nil, nil)
        guard connection >= 0 else { return }
        let head = readHead(connection)
        heads.change { $0.append(head) }
        let bytes = Array(answer.replacing("\n", with: "\r\n").utf8)
        _ = send(connection, bytes, bytes.count, CInt(MSG_NOSIGNAL))
        close(connection)
    }
}

private func readHead(_ connection: CInt) -> String {
    var head: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 4096)
    while !String(decoding: head, as: UTF8.self).hasSuffix("\r\n\r\n") {
        let count = recv(connection, &piece, piece.count, 0)
        guard count > 0 else { break }
        head += piece[..<count]
    }
    return String(decoding: head, as: UTF8.self)
}
