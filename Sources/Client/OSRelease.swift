/// What an os-release file says, by names in lowercase.
struct OSRelease {
    private let values: [String: String]

    /// - Parameter text: empty, when there is no file.
    init(_ text: String) throws(ShellWords.Incomplete) {
        var values: [String: String] = [:]
        for word in try ShellWords(text.withUnixLines).words {
            guard let equals = word.unicodeScalars.firstIndex(of: "=") else { continue }
            let name = String(word.unicodeScalars[..<equals])
            values[name.lowercased()] = String(word.unicodeScalars[equals...].dropFirst())
        }
        self.values = values
    }

    /// nil when it is empty, too.
    subscript(name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// Empty, when the file says that there is none.
    var codename: String? {
        values["version_codename"] ?? values["ubuntu_codename"] ?? values["version"].flatMap(Self.codename)
            ?? values["codename"]
    }

    /// `12 (bookworm)`, or `18.04, Bionic Beaver` of long ago.
    private static func codename(in version: String) -> String? {
        let pattern = #/\((\D+)\)|,\s*(\D+)/#.matchingSemantics(.unicodeScalar)
        return version.firstMatch(of: pattern).flatMap { $0.1 ?? $0.2 }.map(String.init)
    }
}

extension String {
    /// As Python reads text files.
    var withUnixLines: String { replacing("\r\n", with: "\n").replacing("\r", with: "\n") }
}
