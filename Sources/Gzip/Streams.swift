import CZlib

/// zlib's compressor for blocks of raw deflate, each of which may refer back to the one before.
struct DeflateStream: ~Copyable {
    /// How far back deflate can refer.
    static let window = 32 << 10

    // In the heap: zlib refuses a stream that has moved.
    private let handle = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

    init(level: Int) {
        handle.initialize(to: z_stream())
        // Fails only when out of memory, which Swift itself doesn't survive either, or for a level out of range.
        let result = deflateInit2_(
            handle, CInt(level), Z_DEFLATED, -MAX_WBITS, MAX_MEM_LEVEL - 1, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            CInt(MemoryLayout<z_stream>.size))
        precondition(result == Z_OK)
    }

    deinit {
        deflateEnd(handle)
        handle.deallocate()
    }

    /// Room enough for the compressed form of so many bytes: the last marker of a flush isn't in deflateBound's count.
    static func bound(_ count: Int) -> Int { Int(compressBound(uLong(count))) + 64 }

    /// Compresses `input` up to a byte's boundary, so that the next block can follow.
    ///
    /// - Parameter dictionary: what precedes `input`, as far as the window reaches.
    /// - Returns: how many bytes of `output` were written.
    func deflate(
        _ input: UnsafeRawBufferPointer, after dictionary: UnsafeRawBufferPointer, isLast: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        deflateReset(handle)
        if !dictionary.isEmpty { deflateSetDictionary(handle, dictionary.bytes, uInt(dictionary.count)) }
        handle.pointee.next_in = UnsafeMutablePointer(mutating: input.bytes)
        handle.pointee.avail_in = uInt(input.count)
        handle.pointee.next_out = output.assumingMemoryBound(to: Bytef.self).baseAddress
        handle.pointee.avail_out = uInt(output.count)
        let result = CZlib.deflate(handle, isLast ? Z_FINISH : Z_SYNC_FLUSH)
        precondition(result == (isLast ? Z_STREAM_END : Z_OK) && handle.pointee.avail_out > 0)
        return output.count - Int(handle.pointee.avail_out)
    }
}

extension UnsafeRawBufferPointer {
    var bytes: UnsafePointer<Bytef>? { assumingMemoryBound(to: Bytef.self).baseAddress }
}

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
