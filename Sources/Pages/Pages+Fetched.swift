import Configuration
import Storage

/// What is shown of a near cache.
extension Pages {
    /// Of the home: whose near cache it is; to operators also how much was fetched.
    func nearness(_ view: View) -> Templates.Model {
        guard !upstreams.isEmpty else { return ["isNear": false] }
        let names: [Templates.Model] = upstreams.enumerated().map { number, upstream in
            let separator = number == upstreams.count - 1 ? "" : number == upstreams.count - 2 ? " and " : ", "
            return ["name": upstream.name, "host": upstream.host.shown(), "separator": separator]
        }
        // Without the database, the rest is shown all the same.
        let totals = view.visitor.isOperator ? try? browsing.fetchedTotals() : nil
        return ["isNear": true, "upstreams": names, "held": totals.map(heldModel) ?? false as Any]
    }

    /// Of the home, beside the figures of what was put here; none without upstreams.
    func fetchedFigures() throws -> [Templates.Model] {
        guard !upstreams.isEmpty, let totals = try browsing.fetchedTotals() else { return [] }
        return [
            ["number": Format.count(totals.keys), "what": totals.keys == 1 ? "key fetched" : "keys fetched"],
            ["number": Format.count(totals.blobs), "what": totals.blobs == 1 ? "blob fetched" : "blobs fetched"],
            ["number": Format.bytes(totals.bytes), "what": "fetched"],
        ]
    }

    private func heldModel(_ totals: FetchedTotals) -> Templates.Model {
        [
            "blobs": Format.plural(totals.blobs, "blob", "blobs"), "bytes": Format.bytes(totals.bytes),
            "limit": totals.bytesLimit.map(Format.bytes) ?? false as Any,
            "keys": Format.plural(totals.keys, "key", "keys"),
        ]
    }

    private static let pairsShown = 100

    /// What an upstream has of a key, for `key.mustache`; nil: nothing.
    func fetchedModel(_ key: String, _ view: View) throws -> Templates.Model? {
        let pairs = try browsing.fetchedEntries(under: key, limit: Self.pairsShown)
        guard let first = pairs.first else { return nil }
        let count = try browsing.countFetchedEntries(under: key)
        return [
            "upstream": first.upstream, "answered": Format.time(first.answeredAt, now: view.now),
            "count": Format.plural(count, "entry", "entries"), "pairs": pairs.map { pairModel($0, view) },
            "more": count > pairs.count ? Format.count(pairs.count) : false as Any,
        ]
    }

    private func pairModel(_ pair: FetchedEntrySummary, _ view: View) -> Templates.Model {
        [
            "hash": pair.sha512.description, "blobHref": "\(PageRoute.root)/blob/\(pair.sha512)",
            "isVerified": pair.signatureResult == "verified", "isUnsigned": pair.signatureResult == "unsigned",
            "isUnknown": pair.signatureResult == "unknown signer", "isHidden": false,
            "signer": pair.signer ?? false as Any,
            "revoked": pair.signerRevokedAt.map { Format.time($0, now: view.now) } ?? false as Any,
            "size": pair.blobSize.map(Format.bytes) ?? false as Any,
        ]
    }
}

extension Upstream {
    /// The host that blobs come from, with its port.
    fileprivate var host: String {
        let rest = shacache.drop { $0 != "/" }.dropFirst(2).prefix { $0 != "/" }
        return String(rest.split(separator: "@").last ?? rest)
    }
}
