import Glibc

/// What the kernel says of a process of the same user (proc(5)).
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
        openFiles = Self.countItems("/proc/\(process)/fd")
    }

    private static func text(_ path: String) -> Substring {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)[...]
    }

    private static func countItems(_ path: String) -> Int {
        guard let stream = opendir(path) else { return 0 }
        defer { closedir(stream) }
        var count = 0
        // Two of them are the directory itself, and the one above.
        while readdir(stream) != nil { count += 1 }
        return max(0, count - 2)
    }
}
