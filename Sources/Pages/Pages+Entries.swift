import Postgres
import ShaCache
import Storage

extension Pages {
    func key(_ key: String, page: Int, _ view: View) throws -> PageAnswer {
        guard key.utf8.count <= Key.lengthLimit else { return message(.tooLong, view) }
        // Its links would show it.
        guard !key.hasCredentials else { return message(.nothingHere, view) }
        let includingHidden = view.visitor.isOperator
        let count = try browsing.countEntries(under: key, includingHidden: includingHidden)
        let fetched = try fetchedModel(key, view)
        guard count > 0 || fetched != nil else { return message(.nothingHere, view) }
        let pages = (count + Self.entriesPerPage - 1) / Self.entriesPerPage
        let entries = try browsing.entries(
            under: key, includingHidden: includingHidden, offset: (page - 1) * Self.entriesPerPage,
            limit: Self.entriesPerPage)
        var model: Templates.Model = [
            "key": key.shown(), "json": "/shadir/\(percentEncoded(key))",
            "count": Format.plural(count, "entry", "entries"), "entries": entries.map { entryModel($0, view) },
            "hasEntries": count > 0, "fetched": fetched ?? false as Any,
            "page": page, "pages": pages, "isPaged": pages > 1,
        ]
        if page > 1 { model["previous"] = "\(Self.href(ofKey: key))&page=\(page - 1)" }
        if page < pages { model["next"] = "\(Self.href(ofKey: key))&page=\(page + 1)" }
        return render("key", title: "Key \(key.shown())", view, model)
    }

    private static let entriesPerPage = 50

    func entry(_ number: Int, _ view: View) throws -> PageAnswer {
        guard let entry = try browsing.entry(number, includingHidden: view.visitor.isOperator),
            let metadata = try browsing.metadata(ofEntry: number, limit: Self.metadataShown)
        else { return message(.nothingHere, view) }
        let address = SiteAddress(site, view.request)
        var model = entryModel(entry, view)
        model["download"] = entry.blobSize == nil ? nil : "/shacache/\(entry.sha512)"
        model["plainDownload"] = "\(address.downloads)/shacache/\(entry.sha512)"
        let isWhole = metadata.beginning.utf8.count == metadata.bytes
        let raw = raw(metadata.beginning, isWhole: isWhole)
        model["metadata"] = raw.text?.shown(lines: true) ?? false as Any
        model["isMasked"] = raw.isMasked
        model["metadataBytes"] = Format.plural(metadata.bytes, "byte", "bytes")
        model["cut"] = isWhole ? nil : Format.plural(metadata.beginning.utf8.count, "byte", "bytes")
        let members = isWhole ? members(metadata.beginning) : []
        model["members"] = Array(members.prefix(Self.membersShown))
        model["hasMembers"] = !members.isEmpty
        model["membersOf"] = members.count > Self.membersShown ? Format.count(members.count) : nil
        if let downloads = try browsing.downloads(ofBlob: entry.sha512) { model["fetched"] = downloadsModel(downloads) }
        let others = try entries(naming: entry.sha512, view)
        model.merge(namedEntriesModel(others.found?.filter { $0.id != number }, view)) { $1 }
        return render("entry", title: "Entry \(number)", view, model).caused(by: others.failure)
    }

    /// The metadata as it was sent; or without its passwords, written anew, since JSON can spell them in many ways. A
    /// beginning can't be read as JSON: it is not shown when it may have one.
    private func raw(_ metadata: String, isWhole: Bool) -> (text: String?, isMasked: Bool) {
        if isWhole, let json = try? JSON(Array(metadata.utf8)) {
            return json.hasCredentials ? (json.withoutCredentials.dumped(), true) : (metadata, false)
        }
        return metadata.contains(/(?i)@|%40|\\u0040/) ? (nil, true) : (metadata, false)
    }

    /// Those that name a blob, one of which may be left out, and one more than is shown. When they can't be found in
    /// time, none, and the reason for the log: a page has more to say.
    private func entries(naming digest: Digest, _ view: View) throws -> (found: [EntrySummary]?, failure: String?) {
        do {
            let found = try browsing.entriesNaming(
                digest, includingHidden: view.visitor.isOperator, limit: Self.entriesNamed + 2)
            return (found, nil)
        } catch let error as DatabaseError where error.tookTooLong {
            return (nil, "\(error)")
        }
    }

    /// Of entries that name a blob, for `named.mustache`.
    private func namedEntriesModel(_ entries: [EntrySummary]?, _ view: View) -> Templates.Model {
        [
            "named": (entries ?? []).prefix(Self.entriesNamed).map { entryModel($0, view) },
            "hasNamed": entries?.isEmpty == false, "areNamedAway": entries == nil,
            "moreNamed": (entries ?? []).count > Self.entriesNamed ? Format.count(Self.entriesNamed) : false as Any,
        ]
    }

    private func removalModel(_ removal: RemovalSummary, _ view: View) -> Templates.Model {
        [
            "size": Format.bytes(removal.size), "policy": removal.policy.shown(),
            "at": Format.time(removal.at, now: view.now),
        ]
    }

    /// Characters. Longer ones are rare, and can be had as they are.
    private static let metadataShown = 65_536
    private static let entriesNamed = 20

    func downloadsModel(_ downloads: DownloadTotals) -> Templates.Model {
        [
            "requests": Format.count(downloads.requests), "whole": Format.count(downloads.whole),
            "sent": Format.bytes(downloads.bytes),
        ]
    }

    /// The members of the metadata, a line each.
    private func members(_ metadata: String) -> [Templates.Model] {
        guard case .object(let members)? = try? JSON(Array(metadata.utf8)) else { return [] }
        return members.map { name, value in
            let text = value.string ?? value.dumped()
            return ["name": (name.string ?? "?").shown(), "value": text.shown(lines: true)]
        }
    }

    private static let membersShown = 100

    func blob(_ digest: Digest, _ view: View) throws -> PageAnswer {
        let includingHidden = view.visitor.isOperator
        let stored = try browsing.blobs(from: digest, to: digest, includingHidden: true, limit: 1).first
        let blob = includingHidden || stored?.isHidden == false ? stored : nil
        let removal = includingHidden && stored == nil ? try browsing.removal(ofBlob: digest) : nil
        let entries = try entries(naming: digest, view)
        guard blob != nil || removal != nil || entries.found?.isEmpty == false else {
            return entries.failure.map { message(.tookTooLong, view, cause: $0) }
                ?? message(.nothingHere, view)
        }
        var model: Templates.Model =
            blob.map { blobModel($0, view) }
            ?? absentBlob(digest).merging(
                ["wasWithdrawn": stored != nil, "removal": removal.map { removalModel($0, view) } ?? false as Any]) {
                $1
            }
        model["plainDownload"] = "\(SiteAddress(site, view.request).downloads)/shacache/\(digest)"
        model.merge(namedEntriesModel(entries.found, view)) { $1 }
        if let downloads = try browsing.downloads(ofBlob: digest) { model["fetched"] = downloadsModel(downloads) }
        return render("blob", title: "Blob \(digest.description.prefix(16))…", view, model).caused(by: entries.failure)
    }
}
