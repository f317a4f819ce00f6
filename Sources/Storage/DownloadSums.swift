public import ShaCache

/// What was downloaded and looked up, added up by day before it reaches the database.
public struct DownloadSums: Sendable {
    public struct Count: Equatable, Sendable {
        /// Of a key: how often it was found.
        public var whole = 0
        public var partial = 0
        /// Downloads that their clients closed unread.
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

    /// What is counted, on which day (in UTC, as the database reads it).
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
    public mutating func add(_ count: Count, blob: Digest, on day: String) {
        // Anybody can ask for names that no blob has: they are counted, and not kept.
        if count.notFound == 0 { blobs[Subject(day: day, name: blob.bytes), default: Count()] += count }
        days[Subject(day: day, name: Array("blob".utf8)), default: Count()] += count
    }

    public mutating func add(_ count: Count, key: Key, on day: String) {
        keys[Subject(day: day, name: Array(key.text.utf8)), default: Count()] += count
        days[Subject(day: day, name: Array("key".utf8)), default: Count()] += count
    }
}
