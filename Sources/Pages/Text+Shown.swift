import ShaCache

extension String {
    /// For the eye: what doesn't show, or turns the direction of what follows, is written as its code point, so that
    /// nobody's text looks like another.
    ///
    /// - Parameter lines: whether line ends and tabs stay.
    func shown(lines: Bool = false) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control where lines && (scalar == "\n" || scalar == "\t"): shown.append(scalar)
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
                shown.append(contentsOf: "[U+\(scalar.hexadecimal)]".unicodeScalars)
            default: shown.append(scalar)
            }
        }
        return String(shown)
    }
}

extension Unicode.Scalar {
    /// At least four digits, as Unicode's own names have them.
    fileprivate var hexadecimal: String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
