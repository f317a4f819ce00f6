import Glibc
import Synchronization

/// The figures of this worker, which all of its threads write, and all workers of the host read.
///
/// It costs some atomic additions, takes no lock and never fails. `@unchecked Sendable`: the cells are atomic, and the
/// memory stays until the last owner has gone.
public final class Recorder: @unchecked Sendable {
    private let cells: UnsafeMutablePointer<Atomic<UInt64>>
    /// Keeps the memory, and the slot.
    private let memory: MetricCells

    init(_ memory: MetricCells) {
        self.memory = memory
        cells = (memory.address + Header.size).bindMemory(to: Atomic<UInt64>.self, capacity: Layout.cellCount)
    }

    /// In memory of this process alone, for when no slot can be had: then only this worker can show them.
    public static func alone(version: String) -> Recorder { Recorder(MetricCells.ofProcess(version: version)) }

    public func add(_ amount: Int = 1, to metric: Metric, _ labels: String...) {
        increase(by: amount, cell: Layout.cell(of: metric, labels))
    }

    public func set(_ metric: Metric, to value: Int, _ labels: String...) {
        guard let cell = Layout.cell(of: metric, labels) else { return }
        cells[cell].store(UInt64(value), ordering: .relaxed)
    }

    /// Of a metric whose unit is time.
    public func addTime(_ duration: Duration, to metric: Metric, _ labels: String...) {
        increase(by: duration.nanoseconds, cell: Layout.cell(of: metric, labels))
    }

    /// Of a histogram.
    public func observe(_ duration: Duration, in metric: Metric, _ labels: String...) {
        guard let first = Layout.cell(of: metric, labels) else { return }
        let seconds = duration / .seconds(1)
        let bucket = Family.bounds.firstIndex { seconds <= $0 } ?? Family.bounds.count
        increase(by: 1, cell: first + bucket)
        increase(by: duration.nanoseconds, cell: first + Family.bounds.count + 1)
    }

    private func increase(by amount: Int, cell: Int?) {
        guard let cell else { return }
        cells[cell].wrappingAdd(UInt64(bitPattern: Int64(amount)), ordering: .relaxed)
    }

    /// The figures at this moment.
    public func snapshot() -> Snapshot? { memory.snapshot() }
}

extension Duration {
    fileprivate var nanoseconds: Int { max(0, Int(self / .nanoseconds(1))) }
}
