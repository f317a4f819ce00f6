public import Storage

/// One reading of access logs into the database's daily sums, from where the last one ended.
public struct LogIngestion {
    /// What was met in lines that were not read before.
    public struct IngestionSummary: Sendable {
        public var lines = 0
        /// Lines that nginx didn't write, or not in the format of `nginx/log.conf`. They are ignored.
        public var unreadable = 0
        fileprivate var readable: Int { lines - unreadable }
    }

    public private(set) var summary = IngestionSummary()
    /// Files of a log in which no line is ours.
    public private(set) var foreign: [String] = []
    private let counters: DownloadCounters
    private let host: String
    private let bufferSize = SocketBuffer.size

    /// - Parameter host: the machine whose logs these are.
    public init(into counters: DownloadCounters, host: String) {
        self.counters = counters
        self.host = host
    }

    /// Lines in one transaction: a run that is killed does no more than these again.
    private static let batchSize = 10_000

    /// Reads what is new in a log, and in the files that rotation made of it.
    ///
    /// - Throws: what went wrong with the last file that could not be read, when all others have been.
    public mutating func read(_ path: String) throws {
        var failure: (any Error)?
        for file in try Rotation.files(of: path) {
            do {
                try readFile(file)
            } catch let error as LogError {
                failure = LogError(description: "\(file): \(error)")
            }
        }
        if let failure { throw failure }
    }

    private mutating func readFile(_ path: String) throws {
        let file = try LogFile(opening: path)
        guard let fingerprint = try file.fingerprint() else {
            var lines = file.lines(from: 0)
            if try lines.next() != nil { foreign.append(path) }
            return
        }
        let log = LogIdentity(fingerprint: fingerprint, host: host, path: path)
        let (isNew, before) = (try counters.position(of: log) == nil, summary)
        while let position = try unread(log), try !readOn(file, log, from: position) {}
        if isNew, summary.readable == before.readable { foreign.append(path) }
    }

    /// nil when there can be nothing.
    private func unread(_ log: LogIdentity) throws -> Int? {
        guard let known = try counters.position(of: log) else { return 0 }
        return known.isFinished ? nil : known.bytes
    }

    /// - Returns: whether the end was reached; false when another run has read on meanwhile.
    private mutating func readOn(_ file: borrowing LogFile, _ log: LogIdentity, from start: Int) throws -> Bool {
        var lines = file.lines(from: start)
        while true {
            let position = lines.position
            let (sums, summary) = try batch(from: &lines)
            guard summary.lines > 0 else { break }
            // Truncated by logrotate's copytruncate, and written anew: these are no lines of this log.
            guard try file.fingerprint() == log.fingerprint else { return true }
            guard try counters.addSums(sums, of: log, from: position, to: lines.position) else { return false }
            self.summary.lines += summary.lines
            self.summary.unreadable += summary.unreadable
        }
        if lines.isAtGzipsEnd { try counters.markFinished(log) }
        return true
    }

    private func batch(from lines: inout LogLineReader) throws -> (DownloadSums, IngestionSummary) {
        var sums = DownloadSums()
        var summary = IngestionSummary()
        while summary.lines < Self.batchSize, let line = try lines.next() {
            summary.lines += 1
            if let line = LogLine(line) {
                line.count(in: &sums, bufferSize: bufferSize)
            } else {
                summary.unreadable += 1
            }
        }
        return (sums, summary)
    }
}
