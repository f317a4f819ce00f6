import System

/// The threads that compress blocks. They end with their owner.
final class CompressionPool {
    private struct Work {
        var waiting: [Block] = []
        var done: Set<ObjectIdentifier> = []
        var isOver = false
    }

    private let work = Monitor(Work())
    private var threads: [Thread] = []

    init(count: Int, level: Int) throws(SystemError) {
        for _ in 0..<count {
            threads.append(try Thread { [work] in Self.compress(work, level: level) })
        }
    }

    deinit {
        // What still waits isn't wanted any more.
        work.change { $0.isOver = true }
        for thread in threads { thread.join() }
    }

    /// Hands the block over, until `await` gives it back.
    func submit(_ block: Block) { work.change { $0.waiting.append(block) } }

    func await(_ block: Block) {
        work.wait { $0.done.remove(ObjectIdentifier(block)) != nil ? () : nil }
    }

    private static func compress(_ work: Monitor<Work>, level: Int) {
        let stream = DeflateStream(level: level)
        while case .compress(let block) = work.wait(for: order) {
            block.compress(with: stream)
            work.change { _ = $0.done.insert(ObjectIdentifier(block)) }
        }
    }

    private enum Order {
        case compress(Block)
        case end
    }

    /// nil as long as there is nothing to do.
    private static func order(_ work: inout Work) -> Order? {
        if work.isOver { return .end }
        return work.waiting.isEmpty ? nil : .compress(work.waiting.removeFirst())
    }
}
