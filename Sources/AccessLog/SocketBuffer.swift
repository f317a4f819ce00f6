import Foundation

/// What the kernel keeps of a connection's data until its client takes it. nginx counts that as sent.
enum SocketBuffer {
    /// In bytes: the most that Linux lets a connection grow to (tcp(7), tcp_wmem), its own figure where it can't be
    /// asked. What the client's side keeps beside it is far less than the part of this that goes to administration.
    static var size: Int {
        let limits = try? String(contentsOfFile: "/proc/sys/net/ipv4/tcp_wmem", encoding: .utf8)
        return limits?.split(whereSeparator: \.isWhitespace).last.flatMap { Int($0) } ?? 4 << 20
    }
}
