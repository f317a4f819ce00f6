import Glibc
import System

/// Prometheus' text format, version 0.0.4: families one after the other, each with its help, its type and its samples.
public struct Exposition {
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    public private(set) var text = ""

    public init() {}

    /// One number, with what tells it apart from the others of its family.
    public struct Sample {
        /// Of a histogram: `_bucket`, `_sum` or `_count`.
        var suffix = ""
        let labels: [(name: String, value: String)]
        let value: Double

        public init(_ value: Double, _ labels: (name: String, value: String)...) {
            self.init(value, labels: labels)
        }

        init(suffix: String = "", _ value: Double, labels: [(name: String, value: String)]) {
            self.suffix = suffix
            self.labels = labels
            self.value = value
        }
    }

    /// A family without samples is left out.
    public mutating func addFamily(_ family: Family, _ samples: [Sample]) {
        guard !samples.isEmpty else { return }
        text += "# HELP \(family.name) \(family.help)\n# TYPE \(family.name) \(family.type.rawValue)\n"
        for sample in samples {
            let labels = sample.labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }.joined(separator: ",")
            text += family.name + sample.suffix + (labels.isEmpty ? "" : "{\(labels)}")
            text += " \(Self.number(sample.value))\n"
        }
    }

    private static func escaped(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { result, scalar in
            switch scalar {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(scalar)
            }
        }
    }

    /// What is whole is written so, and not as 1e+09.
    static func number(_ value: Double) -> String { Int(exactly: value).map { "\($0)" } ?? "\(value)" }
}

extension Exposition {
    /// What the workers of a host counted, and the kernel's figures of their processes.
    public mutating func addWorkers(_ snapshots: [Snapshot]) {
        for metric in Metric.allCases {
            addFamily(metric.declaration.family, snapshots.flatMap { $0.samples(of: metric) })
        }
        addFamily(.build, snapshots.map { Sample(1, $0.label, ("version", $0.header.version)) })
        addFamily(.processStart, snapshots.map { Sample(Double($0.header.start) / 1000, $0.label) })
        let processes = snapshots.compactMap { snapshot in
            ProcessFigures(process: snapshot.header.process).map { (snapshot.label, $0) }
        }
        addFamily(.processCPU, processes.map { Sample($1.cpuSeconds, $0) })
        addFamily(.processMemory, processes.map { Sample(Double($1.residentBytes), $0) })
        addFamily(.processFiles, processes.map { Sample(Double($1.openFiles), $0) })
    }
}

extension Snapshot {
    fileprivate var label: (name: String, value: String) { ("worker", "\(worker)") }

    fileprivate func samples(of metric: Metric) -> [Exposition.Sample] {
        let declaration = metric.declaration
        return Layout.series(of: metric).flatMap { values -> [Exposition.Sample] in
            let labels = [label] + zip(declaration.labels.map(\.name), values)
            let cell = Layout.cell(of: metric, values)!
            if declaration.family.type == .histogram { return histogram(at: cell, labels) }
            guard declaration.showsZeros || self[cell] != 0 else { return [] }
            return [Exposition.Sample(value(at: cell, declaration.unit), labels: labels)]
        }
    }

    private func value(at cell: Int, _ unit: Metric.Unit) -> Double {
        switch unit {
        case .one: Double(self[cell])
        case .time: Double(self[cell]) / 1e9
        }
    }

    /// Each bucket shown holds those below it as well; the count is the last, so that the two never disagree.
    private func histogram(at first: Int, _ labels: [(name: String, value: String)]) -> [Exposition.Sample] {
        var count = 0.0
        var samples: [Exposition.Sample] = []
        for (index, bound) in (Family.bounds.map(Exposition.number) + ["+Inf"]).enumerated() {
            count += value(at: first + index, .one)
            samples.append(Exposition.Sample(suffix: "_bucket", count, labels: labels + [("le", bound)]))
        }
        let sum = value(at: first + Family.bounds.count + 1, .time)
        return samples + [
            Exposition.Sample(suffix: "_sum", sum, labels: labels),
            Exposition.Sample(suffix: "_count", count, labels: labels),
        ]
    }
}

extension Family {
    fileprivate static let build = Family("shacache_build_info", .gauge, "1, with the version of the program.")
    fileprivate static let processStart = Family(
        "process_start_time_seconds", .gauge, "When the process started, in seconds since 1970.")
    fileprivate static let processCPU = Family(
        "process_cpu_seconds_total", .counter, "Time on processors, of the user and of the system.")
    fileprivate static let processMemory = Family(
        "process_resident_memory_bytes", .gauge, "Memory that the process has in use.")
    fileprivate static let processFiles = Family("process_open_fds", .gauge, "Open file descriptors.")
}

/// The kernel's figures of a process of the same user (proc(5)).
struct ProcessFigures {
    let cpuSeconds: Double
    let residentBytes: Int
    let openFiles: Int

    /// - Returns: nil when it has ended, or is hidden.
    init?(process: Int) {
        // The name before may hold spaces and parentheses. Fields 14, 15 and 24 are counted from the state, which is 3.
        let fields = Self.text("/proc/\(process)/stat").split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 21, let user = Double(fields[11]), let system = Double(fields[12]),
            let pages = Int(fields[21])
        else { return nil }
        cpuSeconds = (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
        residentBytes = pages * sysconf(Int32(_SC_PAGESIZE))
        openFiles = (try? namesInDirectory("/proc/\(process)/fd").count) ?? 0
    }

    private static func text(_ path: String) -> Substring {
        String(decoding: (try? contentsOfFile(path)) ?? [], as: UTF8.self)[...]
    }
}
