import System

/// Columns under their names, for a terminal. Control characters are shown, never sent to it.
///
/// - Parameter rows: each as many as there are columns.
public func textTable(columns: [String], rows: [[String]]) -> String {
    let lines =
        [columns.map { $0.uppercased().replacing("_", with: " ") }] + rows.map { $0.map(\.visible) }
    let widths = columns.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    return lines.map { line in
        let cells = zip(line, widths).map { text, width in
            text + String(repeating: " ", count: width - text.count)
        }
        return cells.joined(separator: "  ").withoutTrailingSpaces
    }.joined(separator: "\n")
}

extension String {
    /// With U+FFFD for each character that controls: what others wrote can't steer the terminal, nor turn the line
    /// around. A byte of a file name that is no UTF-8 as `\xE9`.
    public var visible: String {
        String(String.UnicodeScalarView(shownFileName.unicodeScalars.map { $0.controls ? "\u{FFFD}" : $0 }))
    }
}

extension String {
    fileprivate var withoutTrailingSpaces: String {
        guard let last = lastIndex(where: { $0 != " " }) else { return "" }
        return String(self[...last])
    }
}

extension Unicode.Scalar {
    fileprivate var controls: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}
