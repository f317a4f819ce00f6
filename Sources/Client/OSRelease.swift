/// The fields of an os-release file, by names in lowercase.
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

    /// Empty, when the file sets it so.
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

/// A line as `Gentoo Base System release 2.14` or `CentOS release 6.5 (Final)`: what there was before
/// os-release.
struct ReleaseLine {
    let name: String?
    let version: String?
    let codename: String?

    init(_ line: String) {
        let text = line.trimmed
        guard let match = text.reversedScalars.prefixMatch(of: Self.reversedPattern) else {
            name = line.isEmpty ? nil : text
            (version, codename) = (nil, nil)
            return
        }
        name = String(match.3).reversedScalars
        version = String(match.2).reversedScalars
        codename = match.1.flatMap { $0.isEmpty ? nil : String($0).reversedScalars }
    }

    /// Read from its end, a line has a shorter pattern: (code name) version [release] name. Python's `distro` has it
    /// so, and what it takes for a version is what counts.
    nonisolated(unsafe) private static let reversedPattern =
        #/(?:[^)]*\)(.*)\()? *(?:STL )?([\d.+\-a-z]*\d) *(?:esaeler *)?(.+)/#.matchingSemantics(.unicodeScalar)
}

extension String {
    fileprivate var reversedScalars: String { String(String.UnicodeScalarView(unicodeScalars.reversed())) }
}
