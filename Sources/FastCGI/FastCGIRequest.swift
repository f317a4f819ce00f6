import CFastCGI
import Glibc

/// One request from nginx, for as long as its connection is open.
public struct FastCGIRequest: ~Copyable {
    private let request: UnsafeMutablePointer<FCGX_Request>

    init(_ request: UnsafeMutablePointer<FCGX_Request>) { self.request = request }

    /// A parameter that nginx set; empty when it did not.
    public func bytes(_ name: String) -> [UInt8] {
        guard let value = FCGX_GetParam(name, request.pointee.envp) else { return [] }
        return Array(UnsafeRawBufferPointer(start: value, count: strlen(value)))
    }

    /// The same as text, in which what is not UTF-8 is replaced.
    public func text(_ name: String) -> String {
        guard let value = FCGX_GetParam(name, request.pointee.envp) else { return "" }
        return String(cString: value)
    }

    /// The body, which nginx has received before; what is beyond `limit` bytes isn't read.
    public func body(upTo limit: Int) -> [UInt8] {
        var body: [UInt8] = []
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64 << 10) { piece in
            while body.count < limit {
                let count = FCGX_GetStr(
                    piece.baseAddress, Int32(min(piece.count, limit - body.count)), request.pointee.in)
                guard count > 0 else { break }
                body.append(contentsOf: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(piece)[..<Int(count)]))
            }
        }
        return body
    }

    /// Sends status, headers and body. That the client has gone is no error.
    public func send(status: String, headers: [(name: String, value: String)], body: [UInt8]) {
        var head = "Status: \(status)\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        head += "\r\n"
        write(Array(head.utf8))
        write(body)
    }

    private func write(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { buffer in
            _ = FCGX_PutStr(
                buffer.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(buffer.count), request.pointee.out)
        }
    }
}
