/// A text's words as a shell has them, with comments, quotes and backslashes gone: the way of Python's `shlex`, which
/// reads os-release files for `distro`.
struct ShellWords {
    /// What the text lacks at its end.
    struct Incomplete: Error, CustomStringConvertible {
        let description: String
    }

    private(set) var words: [String] = []
    private var rest: Substring.UnicodeScalarView
    private var word = ""
    /// Whether a word has begun, which may be empty in quotes.
    private var isInWord = false

    init(_ text: String) throws(Incomplete) {
        rest = text[...].unicodeScalars
        while let scalar = rest.popFirst() { try take(scalar) }
        endWord()
    }

    private mutating func take(_ scalar: Unicode.Scalar) throws(Incomplete) {
        switch scalar {
        case " ", "\t", "\r", "\n": endWord()
        // Also within a word.
        case "#":
            endWord()
            while let next = rest.popFirst(), next != "\n" {}
        case "\\": append(try next("a character behind a backslash"))
        case "'", "\"": try takeQuoted(until: scalar)
        default: append(scalar)
        }
    }

    private mutating func takeQuoted(until quote: Unicode.Scalar) throws(Incomplete) {
        isInWord = true
        while case let scalar = try next("the closing quotation mark"), scalar != quote {
            guard scalar == "\\", quote == "\"" else {
                append(scalar)
                continue
            }
            // Only these two are escaped there; `$` and the like keep their backslash.
            let escaped = try next("a character behind a backslash")
            if escaped != "\\", escaped != quote { append("\\") }
            append(escaped)
        }
    }

    private mutating func next(_ what: String) throws(Incomplete) -> Unicode.Scalar {
        guard let scalar = rest.popFirst() else { throw Incomplete(description: "\(what) is missing") }
        return scalar
    }

    private mutating func append(_ scalar: Unicode.Scalar) {
        word.unicodeScalars.append(scalar)
        isInWord = true
    }

    private mutating func endWord() {
        if isInWord { words.append(word) }
        word = ""
        isInWord = false
    }
}
