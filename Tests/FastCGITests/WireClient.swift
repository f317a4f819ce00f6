import Fixtures
import Glibc
import System

@testable import FastCGI

/// A listening socket, as a worker is handed one.
final class ListeningSocket {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    let path: String

    init(in directory: TemporaryDirectory) {
        path = "\(directory.path)/listen.sock"
        let bound = withSocketAddress(of: path) { bind(descriptor, $0, $1) }
        precondition(bound == 0 && listen(descriptor, 64) == 0, "a socket in \(path)")
    }

    deinit { close(descriptor) }
}

/// One FastCGI request as nginx sends it: the specification's records, without keeping the connection.
final class WireClient {
    private let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)

    init(to path: String) {
        precondition(withSocketAddress(of: path) { connect(descriptor, $0, $1) } == 0, "a connection to \(path)")
        // An answer that never comes fails a test, rather than holding up all of them.
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    func send(_ parameters: [String: String], body: [UInt8] = []) {
        // The role of a responder; no flags.
        var bytes = record(.begin, [0, 1, 0, 0, 0, 0, 0, 0])
        for (name, value) in parameters { bytes += record(.parameters, pair(name, value)) }
        bytes += record(.parameters, [])
        for start in stride(from: 0, to: body.count, by: 32_768) {
            bytes += record(.input, Array(body[start..<min(start + 32_768, body.count)]))
        }
        send(bytes: bytes + record(.input, []))
    }

    func send(bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            precondition(count > 0, "the other side reads")
            sent += count
        }
    }

    struct Answer {
        let output: [UInt8]
        /// The content of the record that ends it.
        let end: [UInt8]?
        var hasEnd: Bool { end != nil }
        /// Of the read at which the connection ended; 0 for an orderly end.
        let errno: Int32
    }

    /// Reads until the other side closes.
    func answer() -> Answer {
        var (bytes, failure) = ([UInt8](), Int32(0))
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else {
                failure = count < 0 ? errno : 0
                break
            }
            bytes += buffer[..<count]
        }
        let answer = RecordedAnswer(bytes)
        return Answer(output: answer.output, end: answer.end, errno: failure)
    }
}
