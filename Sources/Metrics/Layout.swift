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
