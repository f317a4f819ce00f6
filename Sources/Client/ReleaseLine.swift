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
