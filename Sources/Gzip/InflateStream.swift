import CZlib

/// zlib's decompressor for gzip: it checks each member's CRC-32 and length, which libarchive's own filter doesn't.
public struct InflateStream: ~Copyable {
    // In the heap: zlib refuses a stream that has moved.
    private let handle = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    /// Between two members, where the input may end.
    public private(set) var isBetweenMembers = false
    /// Behind a whole member, with nothing yet out of what follows: it may be no member at all.
    public private(set) var isBeginningAnother = false

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

    /// Zeros behind a member count for nothing: programs that write whole blocks pad with them (RFC 1952 doesn't know
    /// them, but gzip and Python skip them).
    ///
    /// - Returns: how many bytes of `output` were written.
    public mutating func inflate(into output: UnsafeMutableRawBufferPointer) throws(GzipError) -> Int {
        if isBetweenMembers {
            skipZeros()
            guard !needsInput else { return 0 }
            inflateReset(handle)
            isBeginningAnother = true
        }
        handle.pointee.next_out = output.assumingMemoryBound(to: Bytef.self).baseAddress
        handle.pointee.avail_out = uInt(output.count)
        let result = CZlib.inflate(handle, Z_NO_FLUSH)
        // Z_BUF_ERROR: it goes on with more input.
        guard [Z_OK, Z_STREAM_END, Z_BUF_ERROR].contains(result) else {
            throw GzipError(description: "gzip: \(handle.pointee.msg.map { String(cString: $0) } ?? "damaged")")
        }
        isBetweenMembers = result == Z_STREAM_END
        let count = output.count - Int(handle.pointee.avail_out)
        if count > 0 || isBetweenMembers { isBeginningAnother = false }
        return count
    }

    private func skipZeros() {
        let rest = UnsafeBufferPointer(start: handle.pointee.next_in, count: Int(handle.pointee.avail_in))
        let zeros = rest.firstIndex { $0 != 0 } ?? rest.count
        handle.pointee.next_in += zeros
        handle.pointee.avail_in -= uInt(zeros)
    }
}

/// What was read is no intact gzip.
public struct GzipError: Error, CustomStringConvertible {
    public let description: String
}
