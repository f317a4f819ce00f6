import Glibc
import ShaCache

/// What a release's directory must be for a slapgrid that runs on the same machine.
extension BinaryCache {
    /// In a release that slapgrid has installed, and told its master of. A directory without it is to slapgrid its own
    /// build that goes on: it compiles into it, and looks for nothing in the binary cache.
    static let completedMark = ".completed"

    /// As slapgrid writes it: Python's `time.asctime()`.
    static func completedText() -> [UInt8] {
        var now = time(nil)
        var local = tm()
        localtime_r(&now, &local)
        var text = [CChar](repeating: 0, count: 26)  // what asctime_r fills
        asctime_r(&local, &text)
        return text.prefix { $0 != 0 && $0 != CChar(UInt8(ascii: "\n")) }.map { UInt8(bitPattern: $0) }
    }

    /// Whether the configuration is that of a node of a SlapOS master, whose slapgrid installs below this directory.
    func isSlapgrids(_ root: String) -> Bool {
        configuration[.computer] != nil && isSameFile(root, configuration.softwareRoot)
    }

    func isCompleted(_ directory: String) -> Bool { exists("\(directory)/\(Self.completedMark)") }

    /// Why nothing is installed as `directory`, which is there.
    func obstacle(_ directory: String, expectsMark: Bool) -> any Error {
        guard expectsMark, !isCompleted(directory) else {
            guard isEmptyDirectory(directory) else { return AlreadyInstalled(directory: directory) }
            return UsageError(
                "\(directory): is there, and empty: what was to come there is under way, or was given up",
                hint: "when nothing works on it, remove it, and call again")
        }
        return UsageError(
            "\(directory): is there without slapgrid's mark \(Self.completedMark): a build that failed, or goes on",
            hint: "when no slapgrid works on it, remove it: until then slapgrid ignores the binary cache for it")
    }

    /// Installing there is of no use: without its mark slapgrid compiles over the release, or refuses to go on where
    /// the binary cache is forced; with it, slapgrid never tells its master that the release is available.
    func refuseBesideSlapgrid(_ root: String, _ key: Key) throws {
        guard isSlapgrids(root) else { return }
        let sign = configuration.setting(.computer)?.source ?? "--option"
        throw UsageError(
            "\(root): is slapgrid's (computer_id, \(sign)), which would compile over what is installed there",
            hint: """
                let it install the release from the binary cache: slapos node software --only-sr \(key.text); or \
                --mark-completed makes it take what is installed here, without a word to its master
                """)
    }
}

extension NodeConfiguration {
    /// Where slapgrid installs releases.
    public var softwareRoot: String { self[.softwareRoot] ?? "/opt/slapgrid" }
}

private func isSameFile(_ first: String, _ second: String) -> Bool {
    guard let one = try? fileStatus(first), let other = try? fileStatus(second) else { return false }
    return one.st_dev == other.st_dev && one.st_ino == other.st_ino
}
