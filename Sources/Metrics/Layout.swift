/// Where each series of each figure lies, in cells of eight bytes; the same in every worker of one version.
enum Layout {
    static let cellCount = starts.last!

    /// Changes with every name, label and bucket, so that a file of another version is never taken for one of this.
    static let version = Figure.allCases.reduce(into: FNV()) { hash, figure in
        let declaration = figure.declaration
        hash.add("\(declaration.family.name) \(declaration.labels) \(cells(of: figure)) \(Family.bounds)")
    }.value

    /// The first cell of each figure, and after the last one the end.
    private static let starts = Figure.allCases.reduce(into: [0]) { starts, figure in
        let series = figure.declaration.labels.reduce(1) { $0 * $1.values.count }
        starts.append(starts.last! + series * cells(of: figure))
    }

    /// Of one series: a histogram's buckets (the last is without bound), and their sum.
    static func cells(of figure: Figure) -> Int {
        figure.declaration.family.kind == .histogram ? Family.bounds.count + 2 : 1
    }

    /// - Parameter values: one for each label, in the order of the declaration.
    /// - Returns: nil when a label has no such value. Tests end there; a worker serves on, and counts it nowhere.
    static func cell(of figure: Figure, _ values: [String]) -> Int? {
        let labels = figure.declaration.labels
        precondition(labels.count == values.count, "\(figure) has \(labels.count) labels")
        var index = 0
        for (label, value) in zip(labels, values) {
            guard let place = label.index(of: value) else {
                assertionFailure("\(figure) has no \(label.name) \(value)")
                return nil
            }
            index = index * label.values.count + place
        }
        return starts[figure.rawValue] + index * cells(of: figure)
    }

    /// The label values of every series, in the order of the cells.
    static func series(of figure: Figure) -> [[String]] {
        figure.declaration.labels.reduce([[]]) { heads, label in
            heads.flatMap { head in label.values.map { head + [$0] } }
        }
    }
}

/// The hash FNV-1a with 64 bits: it must be the same in all processes, which Swift's own isn't.
struct FNV {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ text: String) {
        for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }
}
