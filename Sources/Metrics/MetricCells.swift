import Glibc

/// The header before the cells: the mark, `Layout.version` and these, in words of eight bytes and the machine's order,
/// since no other machine reads it.
struct Header {
    static let size = 64
    /// "shacache", read as a number.
    static let mark: UInt64 = 0x7368_6163_6163_6865

    let process: Int
    /// Milliseconds since 1970.
    let start: Int
    /// Of the program.
    let version: String
}

/// Memory with a header and the cells of one worker, all zero at first: a gauge of an earlier process must not survive,
/// and counters may begin anew.
final class MetricCells {
    static let size = Header.size + Layout.cellCount * MemoryLayout<UInt64>.size

    let address: UnsafeMutableRawPointer
    private let file: LockedFile?

    static func ofProcess(version: String) -> MetricCells {
        MetricCells(address: map(file: nil)!, file: nil, version: version)
    }

    /// - Parameter file: of `size` zero bytes, locked; nil when it can't be mapped.
    convenience init?(_ file: LockedFile, version: String) {
        guard let address = Self.map(file: file) else { return nil }
        self.init(address: address, file: file, version: version)
    }

    private init(address: UnsafeMutableRawPointer, file: LockedFile?, version: String) {
        self.address = address
        self.file = file
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let words = address.assumingMemoryBound(to: UInt64.self)
        words[1] = Layout.version
        words[2] = UInt64(getpid())
        words[3] = UInt64(now.tv_sec * 1000 + now.tv_nsec / 1_000_000)
        let text = version.utf8.prefix(Header.size - 32)
        UnsafeMutableRawBufferPointer(start: address + 32, count: Header.size - 32).copyBytes(from: text)
        words[0] = Header.mark
    }

    deinit { munmap(address, Self.size) }

    private static func map(file: LockedFile?) -> UnsafeMutableRawPointer? {
        let flags = file == nil ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED
        let address = mmap(nil, size, PROT_READ | PROT_WRITE, flags, file?.descriptor ?? -1, 0)
        return address == MAP_FAILED ? nil : address
    }

    func snapshot() -> Snapshot? { Snapshot(UnsafeRawBufferPointer(start: address, count: Self.size), worker: 0) }
}

/// The figures of one worker, as they stood at one moment.
public struct Snapshot: Sendable {
    /// The number of its slot, from 1; 0 for one without.
    public let worker: Int
    let header: Header
    private let cells: [UInt64]

    /// - Parameter bytes: nil is returned for those of another version, or of no worker at all.
    init?(_ bytes: UnsafeRawBufferPointer, worker: Int) {
        guard bytes.count == MetricCells.size else { return nil }
        let words = (0..<bytes.count / 8).map { bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) }
        guard words[0] == Header.mark, words[1] == Layout.version else { return nil }
        self.worker = worker
        header = Header(
            process: Int(truncatingIfNeeded: words[2]), start: Int(truncatingIfNeeded: words[3]),
            version: String(decoding: bytes[32..<Header.size].prefix { $0 != 0 }, as: UTF8.self))
        cells = Array(words[(Header.size / 8)...])
    }

    subscript(cell: Int) -> Int { Int(Int64(bitPattern: cells[cell])) }
}

/// Where each series of each metric lies, in cells of eight bytes; the same in every worker of one version.
enum Layout {
    static let cellCount = starts.last!

    /// Changes with every name, label and bucket, so that a file of another version is never taken for one of this.
    static let version = Metric.allCases.reduce(into: FNV()) { hash, metric in
        let declaration = metric.declaration
        hash.mix("\(declaration.family.name) \(declaration.labels) \(cells(of: metric)) \(Family.bounds)")
    }.value

    /// The first cell of each metric, and after the last one the end.
    private static let starts = Metric.allCases.reduce(into: [0]) { starts, metric in
        let series = metric.declaration.labels.reduce(1) { $0 * $1.values.count }
        starts.append(starts.last! + series * cells(of: metric))
    }

    /// Of one series: a histogram's buckets (the last is without bound), and their sum.
    static func cells(of metric: Metric) -> Int {
        metric.declaration.family.type == .histogram ? Family.bounds.count + 2 : 1
    }

    /// - Parameter values: one for each label, in the order of the declaration.
    /// - Returns: nil when a label has no such value. Tests end there; a worker serves on, and counts it nowhere.
    static func cell(of metric: Metric, _ values: [String]) -> Int? {
        let labels = metric.declaration.labels
        precondition(labels.count == values.count, "\(metric) has \(labels.count) labels")
        var index = 0
        for (label, value) in zip(labels, values) {
            guard let place = label.index(of: value) else {
                assertionFailure("\(metric) has no \(label.name) \(value)")
                return nil
            }
            index = index * label.values.count + place
        }
        return starts[metric.rawValue] + index * cells(of: metric)
    }

    /// The label values of every series, in the order of the cells.
    static func series(of metric: Metric) -> [[String]] {
        metric.declaration.labels.reduce([[]]) { heads, label in
            heads.flatMap { head in label.values.map { head + [$0] } }
        }
    }
}

/// The hash FNV-1a with 64 bits: it must be the same in all processes, which Swift's own isn't.
struct FNV {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func mix(_ text: String) {
        for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }
}
