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
