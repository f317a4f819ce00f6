import Glibc
public import ShaCache

/// What a compiled software release runs on.
public struct Platform: Equatable, Sendable, CustomStringConvertible {
    /// A compiler's name for the machine, `x86_64-linux-gnu`.
    public let multiarch: String
    /// Distribution, version, code name: as Python's `distro` has them.
    public let os: [String]

    public init(multiarch: String, os: [String]) {
        self.multiarch = multiarch
        self.os = os
    }

    /// What an entry of a binary cache was compiled on; nil when it is not recorded.
    public init?(_ metadata: JSON) {
        if let multiarch = metadata["multiarch"]?.string, let os = metadata["os"]?.strings, os.count == 3 {
            self.init(multiarch: multiarch, os: os)
        } else if metadata["multiarch"] == nil, metadata["machine"]?.string == "x86_64",
            let os = metadata["os"]?.string.map(Self.pythonTuple), os.count == 3
        {
            // Entries from before 2021, which nodes still take.
            self.init(multiarch: "x86_64-linux-gnu", os: os)
        } else {
            return nil
        }
    }

    public var description: String { ([multiarch] + os).filter { !$0.isEmpty }.joined(separator: " ") }

    /// Whether what was compiled on another platform runs here: slapgrid's rule, but for a Debian without a version.
    public func runs(_ other: Platform) -> Bool {
        multiarch == other.multiarch && Self.family(os) == Self.family(other.os)
    }

    /// Debian's minor versions and code name don't matter, and Raspbian is a Debian. Testing has no version: where
    /// lsb_release is installed, slapgrid says `n/a` of it, elsewhere `forky/sid`.
    private static func family(_ os: [String]) -> [String] {
        let name = os[0].lowercased()
        guard name == "debian" || name == "raspbian" else { return [name, os[1], os[2]] }
        let version = ["", "n/a"].contains(os[1]) ? "\(os[2])/sid" : os[1]
        return ["debian", String(version.prefix { $0 != "." }), ""]
    }

    /// The elements of a tuple of plain strings, as Python writes it: `('debian', '7.0', '')`.
    private static func pythonTuple(_ text: String) -> [String] {
        text.matches(of: /u?'([^'\\]*)'|u?"([^"\\]*)"/).map { String($0.1 ?? $0.2 ?? "") }
    }
}

extension JSON {
    /// The elements of a list of strings; nil for anything else. Some machines have no code name, and say null.
    fileprivate var strings: [String]? {
        guard case .array(let elements) = self else { return nil }
        let strings = elements.compactMap { element in
            if case .null = element { "" } else { element.string }
        }
        return strings.count == elements.count ? strings : nil
    }
}
