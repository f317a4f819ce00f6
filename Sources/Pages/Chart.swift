import Storage

/// Numbers over days, as a picture and as a table of the same.
struct Chart {
    let title: String
    /// Of the numbers' column in the table.
    let measure: String
    let points: [(label: String, value: Int)]
    let shape: Shape
    let write: (Int) -> String

    enum Shape {
        /// A column for each number.
        case columns
        /// A line with what lies below it filled.
        case area
    }

    /// The picture's description for screen readers, and the table's caption.
    var course: String {
        guard let first = points.first, let last = points.last, let most = points.max(by: { $0.value < $1.value })
        else {
            return "Nothing yet"
        }
        return "From \(first.label) to \(last.label): at most \(write(most.value)), on \(most.label); "
            + "\(write(last.value)) at the end"
    }

    var model: Templates.Model {
        [
            "title": title, "measure": measure, "course": course, "svg": svg,
            "points": points.reversed().map { ["label": $0.label, "value": write($0.value)] },
        ]
    }
}

extension Chart {
    /// Day by day: a chart for each kind of what is counted, where there is more than one day.
    static func charts(of figure: DailyFigure, _ days: [DayFigure]) -> [Chart] {
        Dictionary(grouping: days, by: \.kind).sorted { $0.key < $1.key }.compactMap { kind, days in
            let measure = figure.measure ?? figure.report
            let points = points(days, areTotals: measure.hasPrefix("total"))
            return points.count > 1 ? Chart(of: measure, kind: kind, points) : nil
        }
    }

    /// A day without a row had no events: a total stays, anything else is 0.
    private static func points(_ days: [DayFigure], areTotals: Bool) -> [(label: String, value: Int)] {
        guard areTotals else { return days.map { ($0.day, $0.value ?? 0) } }
        var total = 0
        return days.drop { $0.value == nil }.map { day in
            total = day.value ?? total
            return (day.day, total)
        }
    }

    private init(of measure: String, kind: String, _ points: [(label: String, value: Int)]) {
        let name = measure.replacing("_", with: " ")
        title = "\(name.capitalisedFirst) by day\(kind.isEmpty ? "" : ", \(kind)s")"
        self.measure = name
        self.points = points
        shape = measure.hasPrefix("total") ? .area : .columns
        write = measure.hasSuffix("bytes") ? { Format.bytes($0) } : { Format.count($0) }
    }
}

extension Chart {
    // In units of the viewBox. Text is larger on a narrow screen, by the style: it has room above and below.
    private static let width = 640.0
    private static let height = 220.0
    private static let top = 30.0
    private static let bottom = 30.0

    var svg: String {
        var drawing = Drawing()
        drawing.open(
            "svg",
            // Its title is beside it.
            ["class": "chart", "role": "img", "viewBox": "0 0 640 220", "aria-label": course])
        drawScale(on: &drawing)
        switch shape {
        case .columns: drawColumns(on: &drawing)
        case .area: drawArea(on: &drawing)
        }
        drawDays(on: &drawing)
        drawing.close("svg")
        return drawing.svg
    }

    private var isEmpty: Bool { points.allSatisfy { $0.value == 0 } }

    /// The largest number.
    private var ceiling: Int { max(points.map(\.value).max() ?? 0, 1) }

    private func y(_ value: Double) -> Double {
        let room = Self.height - Self.top - Self.bottom
        return Self.height - Self.bottom - room * value / Double(ceiling)
    }

    private func drawScale(on drawing: inout Drawing) {
        for (value, label) in [
            (Double(ceiling), isEmpty ? "none" : write(ceiling)), (Double(ceiling) / 2, ""), (0, ""),
        ] {
            let height = Drawing.number(y(value))
            drawing.element("line", ["class": "grid", "x1": "0", "x2": "640", "y1": height, "y2": height])
            if !label.isEmpty {
                drawing.element("text", ["x": "0", "y": Drawing.number(y(value) - 8)], text: label)
            }
        }
    }

    private func drawColumns(on drawing: inout Drawing) {
        let step = Self.width / Double(max(points.count, 1))
        for (index, point) in points.enumerated() where point.value > 0 {
            // What there was at all is seen.
            let height = max(y(0) - y(Double(point.value)), 2)
            drawing.open(
                "rect",
                [
                    "class": "column", "x": Drawing.number(Double(index) * step + step * 0.15),
                    "y": Drawing.number(y(0) - height), "width": Drawing.number(step * 0.7),
                    "height": Drawing.number(height), "rx": "2",
                ])
            drawing.element("title", [:], text: "\(point.label): \(write(point.value))")
            drawing.close("rect")
        }
    }

    private func drawArea(on drawing: inout Drawing) {
        let step = Self.width / Double(max(points.count - 1, 1))
        let line = points.enumerated().map {
            "\(Drawing.number(Double($0.offset) * step)) \(Drawing.number(y(Double($0.element.value))))"
        }.joined(separator: " L")
        guard !line.isEmpty else { return }
        let ground = Drawing.number(y(0))
        let end = Drawing.number(Double(points.count - 1) * step)
        drawing.element("path", ["class": "area", "d": "M0 \(ground) L\(line) L\(end) \(ground) Z"])
        drawing.element("path", ["class": "line", "d": "M\(line)"])
    }

    private func drawDays(on drawing: inout Drawing) {
        guard let first = points.first, let last = points.last else { return }
        drawing.element("text", ["x": "0", "y": "214"], text: first.label)
        drawing.element("text", ["x": "640", "y": "214", "text-anchor": "end"], text: last.label)
    }
}
