import Fixtures
import Glibc

/// A listening socket, as a worker is handed one.
final class ListeningSocket {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    let path: String

    init(in directory: TemporaryDirectory) {
        path = "\(directory.path)/listen.sock"
        let bound = withAddress(of: path) { bind(descriptor, $0, $1) }
        precondition(bound == 0 && listen(descriptor, 64) == 0, "a socket in \(path)")
    }

    deinit { close(descriptor) }
}

private func withAddress(of path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
    return withUnsafePointer(to: address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
}

/// Of a FastCGI record.
enum RecordKind: UInt8 {
    case begin = 1
    case end = 3
    case parameters = 4
    case input = 5
    case output = 6
}

/// One record of request 1.
func record(_ kind: RecordKind, _ content: [UInt8]) -> [UInt8] {
    [1, kind.rawValue, 0, 1, UInt8(content.count >> 8), UInt8(content.count & 255), 0, 0] + content
}

/// A parameter, as the content of such a record has it.
func pair(_ name: String, _ value: String) -> [UInt8] {
    length(name.utf8.count) + length(value.utf8.count) + Array(name.utf8) + Array(value.utf8)
}

private func length(_ count: Int) -> [UInt8] {
    guard count > 127 else { return [UInt8(count)] }
    return [UInt8(count >> 24) | 128, UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255)]
}

/// One FastCGI request as nginx sends it: the specification's records, without keeping the connection.
final class FastCGIClient {
    private let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)

    init(to path: String) {
        precondition(withAddress(of: path) { connect(descriptor, $0, $1) } == 0, "a connection to \(path)")
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
        var output: [UInt8] = []
        /// The content of the record that ends it.
        var end: [UInt8]?
        var hasEnd: Bool { end != nil }
        /// Of the read at which the connection ended; 0 for an orderly end.
        var errno: Int32 = 0
    }

    /// Reads until the other side closes.
    func answer() -> Answer {
        var (bytes, answer) = ([UInt8](), Answer())
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else {
                answer.errno = count < 0 ? errno : 0
                break
            }
            bytes += buffer[..<count]
        }
        while bytes.count >= 8 {
            let (kind, length, padding) = (bytes[1], Int(bytes[4]) << 8 | Int(bytes[5]), Int(bytes[6]))
            // It was cut.
            guard bytes.count >= 8 + length + padding else { break }
            if kind == RecordKind.output.rawValue { answer.output += bytes[8..<8 + length] }
            if kind == RecordKind.end.rawValue { answer.end = Array(bytes[8..<8 + length]) }
            bytes.removeFirst(8 + length + padding)
        }
        return answer
    }
}
