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
