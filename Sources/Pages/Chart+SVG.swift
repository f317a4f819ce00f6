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
