public import Glibc

/// Lends the address of a socket of this machine.
///
/// - Parameter path: cut after what an address has room for; with @ in front, the name of one that is in no directory
///   (unix(7): abstract).
public func withSocketAddress<Result>(
    of path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
) -> Result {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let isAbstract = path.hasPrefix("@")
    let length = withUnsafeMutableBytes(of: &address.sun_path) { bytes in
        let name = path.utf8.prefix(bytes.count - 1)
        bytes.copyBytes(from: name)
        if isAbstract { bytes[0] = 0 }
        // A path ends with a zero byte; of another name, that would be part.
        return isAbstract ? name.count : bytes.count
    }
    return withUnsafePointer(to: address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + length))
        }
    }
}
