import ShaCache

extension String {
    /// For the eye: what doesn't show, looks like a space and is none, or turns the direction of what follows, is written
    /// as its code point, so that no two texts look alike. And no URL in it has a user or a password.
    ///
    /// - Parameter lines: whether line ends and tabs stay.
    func shown(lines: Bool = false) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in withoutCredentials(in: self).unicodeScalars {
            if scalar.isSeen || lines && (scalar == "\n" || scalar == "\t") {
                shown.append(scalar)
            } else {
                shown.append(contentsOf: "[U+\(scalar.hexadecimal)]".unicodeScalars)
            }
        }
        return String(shown)
    }
}

extension Unicode.Scalar {
    fileprivate var isSeen: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned: false
        case .spaceSeparator: self == " "
        // Letters and marks that fonts don't draw, as Hangul's fillers; and the one pattern of Braille without a dot.
        default: !properties.isDefaultIgnorableCodePoint && self != "\u{2800}"
        }
    }

    /// At least four digits, as Unicode's own names have them.
    fileprivate var hexadecimal: String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
