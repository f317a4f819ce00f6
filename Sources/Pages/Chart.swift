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
