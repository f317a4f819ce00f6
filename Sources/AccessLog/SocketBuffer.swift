import Foundation

/// What the kernels keep of a connection's data until its client takes it. nginx counts that as sent.
enum SocketBuffer {
    /// In bytes: the most that Linux lets our side of a connection grow to, and what the client's side takes before anybody
    /// has read there (tcp(7): tcp_wmem and tcp_rmem), by the figures of this machine.
    static var size: Int {
        limits(of: "tcp_wmem", orElse: [4096, 16384, 4 << 20])[2]
            + limits(of: "tcp_rmem", orElse: [4096, 131_072, 6 << 20])[1]
    }

    /// The least, the first and the most; Linux's own where they can't be asked.
    private static func limits(of name: String, orElse usual: [Int]) -> [Int] {
        let text = try? String(contentsOfFile: "/proc/sys/net/ipv4/\(name)", encoding: .utf8)
        let limits = text?.split(whereSeparator: \.isWhitespace).compactMap { Int($0) } ?? []
        return limits.count == 3 ? limits : usual
    }
}
