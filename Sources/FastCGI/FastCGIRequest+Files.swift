import CFastCGI
import Glibc

/// Bodies that come out of files. libfcgi would copy them through records of 8 KiB; the kernel passes a file's pages on, so that
/// nginx alone copies them, and a large body takes no memory here.
extension FastCGIRequest {
    /// As much as a record may have, in whole pages.
    private static let recordSize = 60 << 10

    /// Sends a part of a file, which is there; waits for nginx to take it, as `send` does.
    ///
    /// - Parameter file: an open one's descriptor.
    /// - Returns: false when nobody takes it any more, or the file can't be read. Then the answer can't be gone on with.
    public func send(_ range: Range<Int>, of file: Int32) -> Bool {
        guard flush() else { return false }
        var offset = off_t(range.lowerBound)
        while offset < range.upperBound {
            let count = min(range.upperBound - Int(offset), Self.recordSize)
            guard sendHeader(of: count), sendContent(of: count, from: file, at: &offset) else { return false }
        }
        return true
    }

    /// - Parameter count: of the record's content, in bytes.
    private func sendHeader(of count: Int) -> Bool {
        let (number, size) = (request.pointee.requestId, count)
        let header = [
            UInt8(FCGI_VERSION_1), UInt8(FCGI_STDOUT), UInt8(number >> 8 & 255), UInt8(number & 255), UInt8(size >> 8),
            UInt8(size & 255), 0, 0,
        ]
        return header.withUnsafeBytes { bytes in
            Self.send(bytes.count) { Glibc.write(request.pointee.ipcFd, bytes.baseAddress! + $0, bytes.count - $0) }
        }
    }

    private func sendContent(of count: Int, from file: Int32, at offset: inout off_t) -> Bool {
        Self.send(count) { sendfile(request.pointee.ipcFd, file, &offset, count - $0) }
    }

    /// - Parameter call: sends what is left when so much is done, or a part of it.
    private static func send(_ count: Int, by call: (_ done: Int) -> Int) -> Bool {
        var done = 0
        while done < count {
            let sent = call(done)
            if sent < 0, errno == EINTR { continue }
            guard sent > 0 else { return false }
            done += sent
        }
        return true
    }
}
