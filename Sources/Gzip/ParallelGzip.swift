import CZlib

/// Compresses with several threads into one gzip member, as pigz does: each block of the input is deflated by itself,
/// knowing the 32 KiB before it, and ends at a byte's boundary, so that the results are simply joined.
///
/// One member, since Python's `tarfile` reads no further than the first one of a stream. The caller's thread feeds and
/// empties; its blocks go round in a ring, so memory is flat, and what comes out doesn't depend on the threads.
public final class ParallelGzip {
    /// Measured: smaller blocks cost size, larger ones only memory.
    private static let blockSize = 512 << 10

    private let pool: CompressionPool
    private let sink: (UnsafeRawBufferPointer) throws -> Void
    private let ring: [Block]
    private var begun = 0
    private var emitted = 0
    private var checksum: uLong = 0
    private var length = 0

    /// - Parameter sink: is called on the caller's thread.
    public init(threads: Int, level: Int, sink: @escaping (UnsafeRawBufferPointer) throws -> Void) throws {
        self.sink = sink
        pool = try CompressionPool(count: threads, level: level)
        // Two for each thread: one to work on, and one that waits.
        ring = (0...(2 * threads)).map { _ in Block(capacity: Self.blockSize) }
        try emit(memberHeader)
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            rest = block(begun).take(rest)
            if block(begun).isFull { try turn() }
        }
    }

    public func finish() throws {
        block(begun).isLast = true
        try turn()
        while emitted < begun { try emitOldest() }
        try emit(littleEndian(UInt32(checksum)) + littleEndian(UInt32(truncatingIfNeeded: length)))
    }

    private func block(_ number: Int) -> Block { ring[number % ring.count] }

    /// Gives the current block to the pool, and goes on with the next one of the ring.
    private func turn() throws {
        let full = block(begun)
        if begun + 1 - emitted == ring.count { try emitOldest() }
        begun += 1
        block(begun).restart(after: full)
        pool.submit(full)
    }

    private func emitOldest() throws {
        let oldest = block(emitted)
        pool.await(oldest)
        emitted += 1
        checksum = crc32_combine(checksum, oldest.checksum, oldest.count)
        length += oldest.count
        try sink(oldest.compressed)
    }

    private func emit(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes(sink) }
}

/// How each member that `ParallelGzip` makes begins. RFC 1952: deflate, no flags, no time, made on Unix.
public let memberHeader: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]

private func littleEndian(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number.littleEndian, Array.init) }
