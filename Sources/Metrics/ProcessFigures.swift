import Glibc
import System

/// The kernel's figures of a process of the same user (proc(5)).
struct ProcessFigures {
    let cpuSeconds: Double
    let residentBytes: Int
    let openFiles: Int

    /// - Returns: nil when it has ended, or is hidden.
    init?(process: Int) {
        // The name before may hold spaces and parentheses. Fields 14, 15 and 24 are counted from the state, which is 3.
        let fields = Self.text("/proc/\(process)/stat").split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 21, let user = Double(fields[11]), let system = Double(fields[12]),
            let pages = Int(fields[21])
        else { return nil }
        cpuSeconds = (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
        residentBytes = pages * sysconf(Int32(_SC_PAGESIZE))
        openFiles = (try? namesInDirectory("/proc/\(process)/fd").count) ?? 0
    }

    private static func text(_ path: String) -> Substring {
        String(decoding: (try? contentsOfFile(path)) ?? [], as: UTF8.self)[...]
    }
}
