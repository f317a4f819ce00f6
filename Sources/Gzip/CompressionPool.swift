import CZlib
import System

/// The threads that compress blocks. They end with their owner.
final class CompressionPool {
    private struct BlockQueue {
        var waiting: [Block] = []
        var done: Set<ObjectIdentifier> = []
        var isOver = false
    }

    private let queue = Monitor(BlockQueue())
    private var threads: [Thread] = []

    init(count: Int, level: Int) throws(SystemError) {
        for _ in 0..<count {
            threads.append(try Thread { [queue] in Self.compress(queue, level: level) })
        }
    }

    deinit {
        // Blocks that still wait are dropped.
        queue.change { $0.isOver = true }
        for thread in threads { thread.join() }
    }

    /// Hands the block over, until `await` gives it back.
    func submit(_ block: Block) { queue.change { $0.waiting.append(block) } }

    func await(_ block: Block) {
        queue.wait { $0.done.remove(ObjectIdentifier(block)) != nil ? () : nil }
    }

    private static func compress(_ queue: Monitor<BlockQueue>, level: Int) {
        let stream = DeflateStream(level: level)
        while case .compress(let block) = queue.wait(for: assignment) {
            block.compress(with: stream)
            queue.change { _ = $0.done.insert(ObjectIdentifier(block)) }
        }
    }

    private enum Assignment {
        case compress(Block)
        case end
    }

    /// nil as long as there is nothing to do.
    private static func assignment(_ queue: inout BlockQueue) -> Assignment? {
        if queue.isOver { return .end }
        return queue.waiting.isEmpty ? nil : .compress(queue.waiting.removeFirst())
    }
}

/// A piece of the input on its way through a compressing thread.
///
/// `@unchecked Sendable`: one thread has it at a time. The pool's queue hands it over, and hands it back.
final class Block: @unchecked Sendable {
    private static let window = DeflateStream.window

    /// The window's bytes from before the block, right-aligned, then the block's own.
    private let input: UnsafeMutableRawBufferPointer
    private let output: UnsafeMutableRawBufferPointer
    private var dictionaryCount = 0
    private(set) var count = 0
    private var outputCount = 0
    private(set) var checksum: uLong = 0
    var isLast = false

    init(capacity: Int) {
        input = .allocate(byteCount: Self.window + capacity, alignment: 64)
        output = .allocate(byteCount: DeflateStream.bound(capacity), alignment: 64)
    }

    deinit {
        input.deallocate()
        output.deallocate()
    }

    var isFull: Bool { count == input.count - Self.window }

    /// Begins anew, behind what the block before ends with.
    func restart(after previous: Block) {
        dictionaryCount = min(Self.window, previous.dictionaryCount + previous.count)
        let end = Self.window + previous.count
        let dictionary = UnsafeRawBufferPointer(rebasing: previous.input[(end - dictionaryCount)..<end])
        input[(Self.window - dictionaryCount)...].copyBytes(from: dictionary)
        count = 0
        isLast = false
    }

    /// - Returns: what it had no room for.
    func take(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let free = input[(Self.window + count)...]
        let taken = min(free.count, bytes.count)
        UnsafeMutableRawBufferPointer(rebasing: free).copyMemory(from: .init(rebasing: bytes[..<taken]))
        count += taken
        return UnsafeRawBufferPointer(rebasing: bytes[taken...])
    }

    func compress(with stream: borrowing DeflateStream) {
        let start = Self.window
        let contents = UnsafeRawBufferPointer(rebasing: input[start..<(start + count)])
        let dictionary = UnsafeRawBufferPointer(rebasing: input[(start - dictionaryCount)..<start])
        checksum = crc32_z(0, contents.bytes, contents.count)
        outputCount = stream.deflate(contents, after: dictionary, isLast: isLast, into: output)
    }

    var compressed: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: output[..<outputCount]) }
}
