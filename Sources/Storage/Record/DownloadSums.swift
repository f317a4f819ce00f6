public import ShaCache

/// Downloads and lookups, added up by day before they reach the database.
public struct DownloadSums: Sendable {
    public struct Count: Equatable, Sendable {
        /// Of a key: how often it was found.
        public var whole = 0
        public var partial = 0
        /// HEAD, what clients have already (304), and downloads that they closed unread.
        public var probes = 0
        public var notFound = 0
        /// Sent in whole and partial downloads.
        public var bytes = 0

        public init(whole: Int = 0, partial: Int = 0, probes: Int = 0, notFound: Int = 0, bytes: Int = 0) {
            self.whole = whole
            self.partial = partial
            self.probes = probes
            self.notFound = notFound
            self.bytes = bytes
        }

        static func += (sum: inout Count, count: Count) {
            sum.whole += count.whole
            sum.partial += count.partial
            sum.probes += count.probes
            sum.notFound += count.notFound
            sum.bytes += count.bytes
        }
    }

    /// What is counted, and on which day of UTC.
    struct Subject: Hashable {
        let day: String
        /// A digest or a key. Bytes, since Swift calls differently composed letters equal.
        let name: [UInt8]
    }

    private(set) var blobs: [Subject: Count] = [:]
    private(set) var keys: [Subject: Count] = [:]
    /// Of all blobs, and of all keys.
    private(set) var days: [Subject: Count] = [:]

    public init() {}

    /// - Parameter day: in UTC, `2026-01-31`.
    public mutating func countBlob(_ count: Count, of blob: Digest, on day: String) {
        // Clients may ask for arbitrary digests: those without a blob are counted in the day's sum only.
        if count.notFound == 0 { blobs[Subject(day: day, name: blob.bytes), default: Count()] += count }
        days[Subject(day: day, name: Array("blob".utf8)), default: Count()] += count
    }

    public mutating func countKey(_ count: Count, of key: Key, on day: String) {
        keys[Subject(day: day, name: Array(key.text.utf8)), default: Count()] += count
        days[Subject(day: day, name: Array("key".utf8)), default: Count()] += count
    }
}

extension DownloadSums {
    /// Many rows for one statement: an array for each column.
    struct Columns {
        private let sums: [(subject: Subject, count: Count)]

        init(_ sums: [Subject: Count]) { self.sums = sums.map { ($0.key, $0.value) } }

        var days: [String] { sums.map(\.subject.day) }
        var binaryNames: [String] { sums.map { "\\x\(hex($0.subject.name))" } }
        var textNames: [String] { sums.map { String(decoding: $0.subject.name, as: UTF8.self) } }
        var whole: [String] { list(\.whole) }
        var partial: [String] { list(\.partial) }
        var probes: [String] { list(\.probes) }
        var notFound: [String] { list(\.notFound) }
        var bytes: [String] { list(\.bytes) }

        private func list(_ column: KeyPath<Count, Int>) -> [String] {
            sums.map { String($0.count[keyPath: column]) }
        }
    }
}
