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
