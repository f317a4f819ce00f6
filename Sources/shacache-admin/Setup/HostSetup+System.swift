import Foundation
import Glibc
import Storage
import System

extension HostSetup {
    /// What only a person can mend.
    var systemSteps: [SetupStep] {
        [
            SetupStep("system") {
                guard geteuid() == 0 else { throw SetupProblem("this takes root", "become root, or use sudo") }
                guard FileManager.default.fileExists(atPath: "/run/systemd/system") else {
                    throw SetupProblem("systemd doesn't run here", "install without it: make run shows how")
                }
                guard FileManager.default.fileExists(atPath: "\(Self.share)/site.conf.in") else {
                    throw SetupProblem("\(Self.share)/site.conf.in: is missing", "install the package shacache-server")
                }
                return "systemd runs"
            },
            SetupStep("nginx's package") {
                let package = try Program(["dpkg-query", "--search", "/usr/sbin/nginx"]).quietText()
                let maintainer = try package?.split(separator: ":").first.flatMap {
                    try Program(["dpkg-query", "--show", "--showformat", "${Maintainer}", String($0)]).quietText()
                }
                guard let maintainer else {
                    throw SetupProblem("nginx isn't here, or isn't a package's", "apt install nginx")
                }
                guard maintainer.lowercased().contains("debian") else {
                    throw SetupProblem(
                        "nginx is not Debian's: its package is of \(maintainer)",
                        "remove that package and its source of packages, then apt install nginx")
                }
                return "Debian's"
            },
            SetupStep("ports") {
                for port in [80, 443] {
                    guard let owner = try PortOwner(of: port), owner.name != "nginx" else { continue }
                    throw SetupProblem(
                        "port \(port) is taken by \(owner.name)\(owner.pid.map { " (pid \($0))" } ?? "")",
                        "end that, or have it listen elsewhere")
                }
                return "80 and 443 are free, or nginx's"
            },
            SetupStep("room") {
                let directory = configuration.store.directory
                guard FileManager.default.fileExists(atPath: directory) else {
                    throw SetupProblem(
                        "\(directory): is missing", "systemd-tmpfiles --create shacache.conf, or mount it")
                }
                return "\(try freeSpace(directory).bytes >> 30) GiB are free for \(directory)"
            },
        ]
    }

    private func freeSpace(_ directory: String) throws -> LocalBlobs.Free {
        do {
            return try configuration.withStore { store in
                try store.admit(bytes: 0)
                return try store.free()
            }
        } catch {
            throw SetupProblem("\(error)", "free space under \(directory), or mount it there")
        }
    }
}

/// The process that listens on a TCP port, at whatever address.
private struct PortOwner {
    let name: String
    let pid: Int?

    /// - Returns: nil when none does.
    init?(of port: Int) throws {
        let listeners = try Self.listeners(on: port)
        if listeners.isEmpty { return nil }
        for process in try namesInDirectory("/proc") {
            guard let pid = Int(process), let files = try? namesInDirectory("/proc/\(pid)/fd") else { continue }
            let isOwner = files.contains { file in
                let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\(file)")
                return target.map(listeners.contains) ?? false
            }
            if isOwner {
                let name = String(decoding: (try? contentsOfFile("/proc/\(pid)/comm")) ?? [], as: UTF8.self)
                (self.name, self.pid) = (name.trimmingCharacters(in: .newlines), pid)
                return
            }
        }
        (name, pid) = ("a process that can't be seen from here", nil)
    }

    /// As the links of open files name them (proc(5): /proc/net/tcp).
    private static func listeners(on port: Int) throws -> Set<String> {
        let suffix = ":" + (String(repeating: "0", count: 4) + String(port, radix: 16, uppercase: true)).suffix(4)
        let isListening = "0A"
        let lines = ["tcp", "tcp6"].compactMap { try? contentsOfFile("/proc/net/\($0)") }
            .flatMap { String(decoding: $0, as: UTF8.self).split(separator: "\n").dropFirst() }
        let fields = lines.map { $0.split(separator: " ") }
        return Set(
            fields.filter { $0.count > 9 && $0[1].hasSuffix(suffix) && $0[3] == isListening }
                .map { "socket:[\($0[9])]" })
    }
}

extension Program {
    /// What it writes to standard output; nil when it ends otherwise than with 0. What it says on standard error is not shown.
    func quietText() throws -> String? {
        do {
            return try Program(["sh", "-c", "exec \"$@\" 2>/dev/null", "sh"] + words).text()
        } catch is ProgramError {
            return nil
        }
    }

    /// What it writes to standard output.
    ///
    /// - Throws: as `run`.
    func text() throws -> String {
        var bytes: [UInt8] = []
        try run { bytes += $0 }
        return String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
