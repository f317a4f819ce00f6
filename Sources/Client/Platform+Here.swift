import Glibc

extension Platform {
    /// This machine's.
    ///
    /// slapgrid asks the compiler. Nodes need none, so without one the name is made as the distribution's compiler
    /// makes it.
    public static func here(osRelease file: String = "/etc/os-release") -> Platform {
        let release = OSRelease((try? contents(of: file)) ?? [])
        return Platform(
            multiarch: compilerName() ?? guessedName(release), os: [release.id, release.version, release.codename])
    }

    private static func compilerName() -> String? {
        output(of: "gcc -dumpmachine 2>/dev/null")
    }

    private static func guessedName(_ release: OSRelease) -> String {
        var names = utsname()
        uname(&names)
        let machine = withUnsafeBytes(of: names.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        switch machine {
        case "i386", "i486", "i586", "i686": return "i686-linux-gnu"
        case "armv6l", "armv7l", "armv8l": return "arm-linux-gnueabihf"
        case "ppc64le": return "powerpc64le-linux-gnu"
        default: return release.isRedHat ? "\(machine)-redhat-linux" : "\(machine)-linux-gnu"
        }
    }
}

/// What `/etc/os-release` says, as Python's `distro` reads it.
struct OSRelease {
    let id: String
    let version: String
    let codename: String
    let isRedHat: Bool

    init(_ file: [UInt8]) {
        var values: [String: String] = [:]
        for line in String(decoding: file, as: UTF8.self).split(separator: "\n") {
            guard let equals = line.firstIndex(of: "="), !line.hasPrefix("#") else { continue }
            values[String(line[..<equals])] = String(line[line.index(after: equals)...]).unquoted
        }
        let name = values["ID"] ?? ""
        // distro's table of names that changed.
        id = ["ol": "oracle", "opensuse-leap": "opensuse"][name] ?? name.lowercased().replacing(" ", with: "_")
        version = values["VERSION_ID"] ?? ""
        codename =
            values["VERSION_CODENAME"] ?? values["UBUNTU_CODENAME"] ?? Self.parenthesised(values["VERSION"] ?? "")
        isRedHat = "\(name) \(values["ID_LIKE"] ?? "")".split(separator: " ").contains {
            $0 == "rhel" || $0 == "fedora"
        }
    }

    /// `12 (bookworm)`, or `18.04, Bionic Beaver` of long ago.
    private static func parenthesised(_ version: String) -> String {
        guard let match = version.firstMatch(of: /\((\D+)\)|,(\s+)?(\D+)/) else { return "" }
        return String(match.1 ?? match.3 ?? "").trimmed
    }
}

extension String {
    /// Without the quotes and backslashes of a shell's word.
    fileprivate var unquoted: String {
        guard let quote = first, quote == "\"" || quote == "'", count > 1, last == quote else { return self }
        return String(dropFirst().dropLast().replacing(/\\(.)/) { $0.1 })
    }
}

/// The first line that a shell command writes, without the blanks around it; nil when it fails or there is none.
func output(of command: String) -> String? {
    guard let process = popen(command, "r") else { return nil }
    let line = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { line in
        fgets(line.baseAddress!, Int32(line.count), process).map { String(cString: $0).trimmed }
    }
    return pclose(process) == 0 && line != "" ? line : nil
}
