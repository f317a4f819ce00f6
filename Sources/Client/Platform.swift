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

extension Platform {
    /// This machine's.
    ///
    /// slapgrid asks the compiler. Nodes need none, so without one the name is made as the distribution's compiler
    /// makes it.
    ///
    /// - Throws: when the distribution's files can't be read.
    public static func here() throws -> Platform {
        // Python's `distro` goes by these, and so slapgrid does.
        let distribution = try Distribution(
            etc: variable("UNIXCONFDIR") ?? "/etc", lib: variable("UNIXUSRLIBDIR") ?? "/usr/lib"
        ) { output(of: "lsb_release -a") }
        return Platform(
            multiarch: compilerName() ?? guessedName(distribution),
            os: [distribution.id, distribution.version, distribution.codename])
    }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// What slapgrid calls this machine; nil when there is no compiler to ask.
    static func compilerName() -> String? { firstLine(of: "gcc -dumpmachine") }

    private static func guessedName(_ distribution: Distribution) -> String {
        var names = utsname()
        uname(&names)
        let machine = withUnsafeBytes(of: names.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        switch machine {
        case "i386", "i486", "i586", "i686": return "i686-linux-gnu"
        case "armv6l", "armv7l", "armv8l": return "arm-linux-gnueabihf"
        case "ppc64le": return "powerpc64le-linux-gnu"
        default: return distribution.isRedHat ? "\(machine)-redhat-linux" : "\(machine)-linux-gnu"
        }
    }
}

/// What a shell command printed; nil when it isn't there, or failed.
func output(of command: String) -> String? {
    guard let process = popen("\(command) 2>/dev/null", "r") else { return nil }
    var output: [UInt8] = []
    while case let byte = fgetc(process), byte != EOF { output.append(UInt8(byte)) }
    return pclose(process) == 0 ? String(decoding: output, as: UTF8.self) : nil
}

/// The first line of that, without the blanks around it; nil when there is none, too.
func firstLine(of command: String) -> String? {
    output(of: command)?.split(separator: "\n").first.map { String($0).trimmed }.flatMap { $0.isEmpty ? nil : $0 }
}
