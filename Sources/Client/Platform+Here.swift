import Glibc

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
