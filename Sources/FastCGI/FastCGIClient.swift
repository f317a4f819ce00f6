import Glibc
public import System

/// Asks a FastCGI server of this machine, as nginx does.
public enum FastCGIClient {
    /// Sends one request without a body, and waits for the end of the answer, as long as there is hope of one.
    ///
    /// - Parameters:
    ///   - path: of its socket.
    ///   - parameters: of less than 64 KiB together.
    ///   - pause: how long a step of it may take, but for the answer's beginning.
    ///   - whileSilent: called each time that this has not come for such a pause; when it throws, no answer is waited for.
    /// - Returns: status and headers, an empty line, and the body; nil when the answer was cut.
    public static func ask(
        _ path: String, _ parameters: [(name: String, value: String)], pause: Duration,
        whileSilent: () throws(SystemError) -> Void
    ) throws(SystemError) -> [UInt8]? {
        let socket = Descriptor(
            owning: try systemCall("make a socket for", path) {
                Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            }, named: path)
        try limit(socket, to: pause)
        try systemCall("connect to", path) { withSocketAddress(of: path) { connect(socket.number, $0, $1) } }
        try send(requestRecords(parameters), to: socket)
        var answer = pollfd(fd: socket.number, events: Int16(POLLIN), revents: 0)
        while try systemCall("wait for", path, { poll(&answer, 1, Int32(pause / .milliseconds(1))) }) == 0 {
            try whileSilent()
        }
        let records = RecordedAnswer(try socket.contents())
        return records.end == nil ? nil : records.output
    }

    /// Asks for nothing, which a server that is well answers at once.
    ///
    /// - Parameter limit: how long each step may take.
    /// - Throws: why there is no answer.
    public static func probe(_ path: String, within limit: Duration) throws(SystemError) {
        _ = try ask(path, [("REQUEST_METHOD", "GET")], pause: limit) { () throws(SystemError) in
            throw SystemError("wait for", path, errno: ETIMEDOUT)
        }
    }

    /// How long connecting, sending and receiving may wait.
    private static func limit(_ socket: borrowing Descriptor, to pause: Duration) throws(SystemError) {
        let (seconds, attoseconds) = pause.components
        var time = timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
        for option in [SO_SNDTIMEO, SO_RCVTIMEO] {
            try systemCall("set up", socket.name) {
                setsockopt(socket.number, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
            }
        }
    }

    private static func send(_ bytes: [UInt8], to socket: borrowing Descriptor) throws(SystemError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            // A server that has gone is an error like any other, and no signal.
            let count = try systemCall("ask", socket.name) {
                rest.withUnsafeBytes { Glibc.send(socket.number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            }
            rest = rest.dropFirst(count)
        }
    }
}
