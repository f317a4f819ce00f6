import Metrics
import Storage

extension Exposition {
    /// Of a near cache: what was fetched, and what the upstreams gave. Where there never was an upstream, nothing.
    mutating func addFetched(_ database: DatabaseFigures) {
        if let seen = database.fetched?.seen {
            addFamily(.fetchedStoredBlobs, [Sample(Double(seen.blobs))])
            addFamily(.fetchedStoredBytes, [Sample(Double(seen.bytes))])
            if let limit = seen.bytesLimit { addFamily(.fetchedLimit, [Sample(Double(limit))]) }
            addFamily(
                .fetchedKeys,
                [("fresh", seen.keys.fresh), ("stale", seen.keys.stale), ("outdated", seen.keys.outdated)].map {
                    Sample(Double($1), ("age", $0))
                })
        }
        if let wanted = database.fetched?.oldestWanted { addFamily(.oldestWantedKey, [Sample(Double(wanted))]) }
        if let figures = database.upstreams { addUpstreams(figures) }
    }

    /// Of a near cache.
    mutating func addFetcher(isUp: Bool) { addFamily(.fetcherUp, [Sample(isUp ? 1 : 0)]) }

    private mutating func addUpstreams(_ figures: UpstreamFigures) {
        let counters: [(Family, (UpstreamFigures.Upstream) -> Int)] = [
            (.upstreamBlobs, \.sums.blobs), (.upstreamBytes, \.sums.bytes), (.upstreamKeys, \.sums.keys),
            (.upstreamDownloads, \.downloads), (.upstreamSentBytes, \.sentBytes),
        ]
        for (family, count) in counters {
            addFamily(family, figures.upstreams.map { Sample(Double(count($0)), ("upstream", $0.name)) })
        }
        addFamily(
            .upstreamErrors,
            figures.upstreams.flatMap { upstream in
                [
                    ("failure", upstream.sums.failures), ("fault", upstream.sums.faults),
                    ("refused pair", upstream.sums.refusedPairs),
                ].map { Sample(Double($1), ("upstream", upstream.name), ("kind", $0)) }
            })
        addFamily(.upstreamAway, figures.absences.map { Sample(1, ("upstream", $0.upstream), ("host", $0.host)) })
    }
}

extension Family {
    fileprivate static let fetcherUp = Family(
        "shacache_fetcher_up", .gauge, "1 when the fetcher of the host answers, 0 when it doesn't within a second.")
    fileprivate static let fetchedStoredBlobs = Family(
        "shacache_fetched_stored_blobs", .gauge,
        "Blobs here that were fetched, and that no account uploaded, when collect fetched last looked.")
    fileprivate static let fetchedStoredBytes = Family("shacache_fetched_stored_bytes", .gauge, "Their bytes.")
    fileprivate static let fetchedLimit = Family(
        "shacache_fetched_limit_bytes", .gauge, "How many bytes of them may stay; none without such a limit.")
    fileprivate static let fetchedKeys = Family(
        "shacache_fetched_keys", .gauge,
        "Keys of which an upstream's list is here, by its age, when collect fetched last looked.")
    fileprivate static let oldestWantedKey = Family(
        "shacache_wanted_key_oldest_timestamp_seconds", .gauge,
        "Since when the key waits that waits for longest to be asked for again, in seconds since 1970.")
    fileprivate static let upstreamBlobs = Family(
        "shacache_upstream_blobs_total", .counter, "Blobs that came from an upstream with the right hash.")
    fileprivate static let upstreamBytes = Family(
        "shacache_upstream_bytes_total", .counter, "Bytes of blobs that came from an upstream, also of wrong ones.")
    fileprivate static let upstreamKeys = Family(
        "shacache_upstream_keys_total", .counter, "Lists of keys that came from an upstream.")
    fileprivate static let upstreamDownloads = Family(
        "shacache_upstream_downloads_total", .counter,
        "Downloads here of blobs that were fetched from an upstream, as far as ingest-log has read them.")
    fileprivate static let upstreamSentBytes = Family(
        "shacache_upstream_sent_bytes_total", .counter, "Bytes that were sent to clients in these.")
    fileprivate static let upstreamErrors = Family(
        "shacache_upstream_errors_total", .counter,
        "Times that an upstream gave nothing (failure) or something wrong (fault), and its pairs that were refused.")
    fileprivate static let upstreamAway = Family(
        "shacache_upstream_away", .gauge, "1 for an upstream that a host doesn't ask, since it did not answer.")
}
