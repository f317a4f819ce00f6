import Glibc
import System

/// A machine's distribution as Python's `distro` 1.9 has it, as slapgrid uses it: by os-release, else by older files.
struct Distribution {
    let id: String
    let version: String
    let codename: String
    let isRedHat: Bool

    /// os-release says what no distribution can mean.
    struct Unreadable: Error, CustomStringConvertible {
        let description: String
    }

    /// - Parameters:
    ///   - etc: with os-release, debian_version, and files as redhat-release.
    ///   - lib: with os-release, where `etc` has none.
    ///   - lsb: what the command `lsb_release -a` prints; nil when it fails. Only asked where os-release lacks something.
    init(etc: String, lib: String, lsb ask: () -> String?) throws {
        let os = try Self.osRelease(etc, lib)
        let saysAll = os["id"] != nil && os["version_id"] != nil && os.codename != nil
        let lsb = saysAll ? [:] : Self.lsbRelease(ask() ?? "")
        let old = saysAll ? nil : DistributionFile(in: etc)

        let id =
            Self.normalized(os["id"], ["ol": "oracle", "opensuse-leap": "opensuse"])
            ?? Self.normalized(lsb["distributor_id"], Self.normalizedLSB)
            ?? Self.normalized(old?.id, ["redhat": "rhel"]) ?? ""
        self.id = id
        let like = (os["id_like"] ?? "").split(whereSeparator: \.isWhitespace)
        let isLikeDebian = id == "debian" || like.contains("debian")
        // Of Debian testing and unstable, lsb_release prints n/a, by which they would all be one. Here alone we say
        // something else than distro: what it says where that command isn't installed.
        let release = lsb["release"].flatMap { id == "debian" && $0 == "n/a" ? nil : $0 }
        let versions = [
            os["version_id"], release, old?.line.version, ReleaseLine(os["pretty_name"] ?? "").version,
            ReleaseLine(lsb["description"] ?? "").version,
            // forky/sid
            isLikeDebian ? Self.firstLine("\(etc)/debian_version")?.trimmed : nil,
        ]
        version = versions.lazy.compactMap(\.self).first { !$0.isEmpty } ?? ""
        codename = os.codename ?? lsb["codename"] ?? old?.line.codename ?? ""
        isRedHat = (like + [id[...]]).contains { $0 == "rhel" || $0 == "fedora" }
    }

    private static func osRelease(_ etc: String, _ lib: String) throws -> OSRelease {
        guard let path = ["\(etc)/os-release", "\(lib)/os-release"].first(where: isFile) else {
            return try OSRelease("")
        }
        guard let text = String(validating: try contentsOfFile(path), as: UTF8.self) else {
            throw Unreadable(description: "\(path): is not UTF-8")
        }
        do {
            return try OSRelease(text)
        } catch {
            throw Unreadable(description: "\(path): \(error)")
        }
    }

    /// By names in lowercase, without the empty ones.
    private static func lsbRelease(_ output: String) -> [String: String] {
        var values: [String: String] = [:]
        for line in output.withUnixLines.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            values[parts[0].lowercased().replacing(" ", with: "_")] = String(parts[1]).trimmed
        }
        return values.filter { !$0.value.isEmpty }
    }

    private static let normalizedLSB = [
        "enterpriseenterpriseas": "oracle", "enterpriseenterpriseserver": "oracle",
        "redhatenterpriseworkstation": "rhel",
        "redhatenterpriseserver": "rhel", "redhatenterprisecomputenode": "rhel",
    ]

    private static func normalized(_ name: String?, _ table: [String: String]) -> String? {
        guard let name = name?.lowercased().replacing(" ", with: "_") else { return nil }
        return table[name] ?? name
    }

    fileprivate static func firstLine(_ path: String) -> String? {
        guard let contents = try? contentsOfFile(path) else { return nil }
        let text = String(decoding: contents, as: UTF8.self).withUnixLines
        return text.prefix { $0 != "\n" } + (text.contains("\n") ? "\n" : "")
    }
}

/// What a distribution had before os-release: `/etc/gentoo-release`, the first one with any content.
private struct DistributionFile {
    let id: String
    let line: ReleaseLine

    init?(in etc: String) {
        for path in Self.paths(in: etc) {
            let name = path.dropFirst(etc.utf8.count + 1)
            guard !Self.ignored.contains(String(name)), isFile(path),
                let match = name.wholeMatch(of: #/(\w+)[-_](?:release|version)/#)
            else { continue }
            let line = ReleaseLine(Distribution.firstLine(path) ?? "")
            guard let says = line.name else { continue }
            id = says.lowercased().contains("cloudlinux") ? "cloudlinux" : String(match.1)
            self.line = line
            return
        }
        return nil
    }

    /// Those that aren't the distribution's, or don't name it.
    private static let ignored: Set = [
        "debian_version", "lsb-release", "oem-release", "os-release", "system-release", "plesk-release",
        "iredmail-release", "board-release", "ec2_version",
    ]

    /// In the order of their names.
    private static func paths(in etc: String) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        for (number, ending) in ["release", "version"].enumerated() {
            glob("\(etc)/*[-_]\(ending)", number == 0 ? 0 : GLOB_APPEND, nil, &found)
        }
        return (0..<Int(found.gl_pathc)).map { String(cString: found.gl_pathv[$0]!) }.sorted()
    }
}
