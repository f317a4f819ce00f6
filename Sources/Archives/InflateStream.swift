import CZlib

/// zlib's decompressor for gzip: it checks each member's CRC-32 and length, which libarchive's own filter doesn't.
struct InflateStream: ~Copyable {
    // In the heap: zlib refuses a stream that has moved.
    private let handle = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    /// Between two members, where the input may end.
    private(set) var isBetweenMembers = false

    init() {
        handle.initialize(to: z_stream())
        // Fails only when out of memory, which Swift itself doesn't survive either.
        let onlyGzip = 16 + MAX_WBITS
        precondition(inflateInit2_(handle, onlyGzip, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size)) == Z_OK)
    }

    deinit {
        inflateEnd(handle)
        handle.deallocate()
    }

    var needsInput: Bool { handle.pointee.avail_in == 0 }

    /// - Parameter input: must stay until it was all inflated.
    func feed(_ input: UnsafeRawBufferPointer) {
        handle.pointee.next_in = UnsafeMutablePointer(mutating: input.bytes)
        handle.pointee.avail_in = uInt(input.count)
    }

    /// - Returns: how many bytes of `output` were written.
    mutating func inflate(into output: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int {
        if isBetweenMembers { inflateReset(handle) }
        handle.pointee.next_out = output.assumingMemoryBound(to: Bytef.self).baseAddress
        handle.pointee.avail_out = uInt(output.count)
        let result = CZlib.inflate(handle, Z_NO_FLUSH)
        // Z_BUF_ERROR: it goes on with more input.
        guard [Z_OK, Z_STREAM_END, Z_BUF_ERROR].contains(result) else {
            throw .malformed("gzip: \(handle.pointee.msg.map { String(cString: $0) } ?? "damaged")")
        }
        isBetweenMembers = result == Z_STREAM_END
        return output.count - Int(handle.pointee.avail_out)
    }
}
