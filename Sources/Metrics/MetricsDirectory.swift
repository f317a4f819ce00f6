import System

/// A directory in which each worker of a host has a slot for its figures: `worker-1`, `worker-2` and so on.
///
/// A worker takes the first free slot, so that its successor goes on under the same name.
public struct MetricsDirectory: Sendable {
    private let directory: String

    public init(directory: String) { self.directory = directory }

    /// More than a host has workers.
    private static let slots = 1...64

    private func path(_ number: Int) -> String { "\(directory)/worker-\(number)" }

    /// - Parameter version: of the program.
    /// - Throws: `SlotError`.
    public func takeSlot(version: String) throws(SlotError) -> Recorder {
        for number in Self.slots {
            guard let file = try LockedFile(path: path(number)) else { continue }
            try file.clear(size: MetricCells.size)
            guard let memory = MetricCells(file, version: version) else {
                throw SlotError(SystemError("map", path(number)))
            }
            return Recorder(memory)
        }
        throw SlotError(reason: "\(directory): all \(Self.slots.count) slots are taken")
    }

    /// Of every worker that lives, in the order of their slots. Those of another version are left out.
    public func snapshots() -> [Snapshot] {
        Self.slots.compactMap { number in
            guard let bytes = LockedFile.contents(ofLocked: path(number), size: MetricCells.size) else { return nil }
            return bytes.withUnsafeBytes { Snapshot($0, worker: number) }
        }
    }
}
