import CZlib

/// zlib's decompressor for gzip: it checks each member's CRC-32 and length, which libarchive's own filter doesn't.
public struct InflateStream: ~Copyable {
    // In the heap: zlib refuses a stream that has moved.
    private let handle = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    /// Between two members, where the input may end.
    public private(set) var isBetweenMembers = false

    public init() {
        handle.initialize(to: z_stream())
        // Fails only when out of memory, which Swift itself doesn't survive either.
        let onlyGzip = 16 + MAX_WBITS
        precondition(inflateInit2_(handle, onlyGzip, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size)) == Z_OK)
    }

    deinit {
        inflateEnd(handle)
        handle.deallocate()
    }

    public var needsInput: Bool { handle.pointee.avail_in == 0 }

    /// - Parameter input: must stay until it was all inflated.
    public func feed(_ input: UnsafeRawBufferPointer) {
        handle.pointee.next_in = UnsafeMutablePointer(
            mutating: input.assumingMemoryBound(to: Bytef.self).baseAddress)
        handle.pointee.avail_in = uInt(input.count)
    }

    /// - Returns: how many bytes of `output` were written.
    public mutating func inflate(into output: UnsafeMutableRawBufferPointer) throws(GzipError) -> Int {
        if isBetweenMembers { inflateReset(handle) }
        handle.pointee.next_out = output.assumingMemoryBound(to: Bytef.self).baseAddress
        handle.pointee.avail_out = uInt(output.count)
        let result = CZlib.inflate(handle, Z_NO_FLUSH)
        // Z_BUF_ERROR: it goes on with more input.
        guard [Z_OK, Z_STREAM_END, Z_BUF_ERROR].contains(result) else {
            throw GzipError(description: "gzip: \(handle.pointee.msg.map { String(cString: $0) } ?? "damaged")")
        }
        isBetweenMembers = result == Z_STREAM_END
        return output.count - Int(handle.pointee.avail_out)
    }
}

/// What was read is no intact gzip.
public struct GzipError: Error, CustomStringConvertible {
    public let description: String
}
