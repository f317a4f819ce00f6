import ShaCache
import Storage

extension Pages {
    func search(_ text: String, _ view: View) throws -> PageAnswer {
        guard text.utf8.count <= Search.lengthLimit else { return message(.tooLong, view) }
        let search = Search(text)
        let (exact, alike) = (try exactly(search, view), try alike(search, view))
        let blobs = try search.blobs.map { try self.blobs(from: $0.first, to: $0.last, view) } ?? []
        return render(
            "search", title: "Looking for \(text.shown())", view,
            [
                "q": withoutCredentials(in: text), "typed": text.shown(), "exact": exact, "hasExact": !exact.isEmpty,
                "alike": Array(alike.prefix(Self.mostFound)), "hasAlike": !alike.isEmpty,
                "blobs": Array(blobs.prefix(Self.mostFound)), "hasBlobs": !blobs.isEmpty,
                "moreAlike": alike.count > Self.mostFound, "moreBlobs": blobs.count > Self.mostFound,
                "nothing": exact.isEmpty && alike.isEmpty && blobs.isEmpty,
                "tried": search.keys.map { ["what": $0.what, "key": $0.key.text.shown()] },
                "triedHash": search.blobs != nil, "most": Self.mostFound,
            ])
    }

    private static let mostFound = 20

    private func exactly(_ search: Search, _ view: View) throws -> [Templates.Model] {
        try search.keys.filter { !$0.key.text.hasCredentials }.compactMap { what, key -> Templates.Model? in
            let count = try browsing.countEntries(under: key.text, includingHidden: view.visitor.isOperator)
            return count == 0 ? nil : found(key.text, count).merging(["what": what]) { $1 }
        }
    }

    /// Keys that begin so, each once; and one more than is shown, when there are more.
    private func alike(_ search: Search, _ view: View) throws -> [Templates.Model] {
        var seen = Set(search.keys.map { Array($0.key.text.utf8) })
        return try search.beginnings.flatMap {
            try browsing.keys(
                beginningWith: $0, includingHidden: view.visitor.isOperator,
                limit: Self.mostFound + 1 + search.keys.count)
        }.filter { seen.insert(Array($0.text.utf8)).inserted }.map { found($0.text, $0.entries) }
    }

    /// Those that are stored; or the one that only entries name so far. One more than is shown, when there are more.
    private func blobs(from first: Digest, to last: Digest, _ view: View) throws -> [Templates.Model] {
        let includingHidden = view.visitor.isOperator
        let stored = try browsing.blobs(
            from: first, to: last, includingHidden: includingHidden, limit: Self.mostFound + 1)
        guard stored.isEmpty, first == last else { return stored.map { blobModel($0, view) } }
        let isNamed = try !browsing.entriesNaming(first, includingHidden: includingHidden, limit: 1).isEmpty
        return isNamed ? [absentBlob(first)] : []
    }

    private func found(_ key: String, _ entries: Int) -> Templates.Model {
        ["key": key.shown(), "href": Self.href(ofKey: key), "entries": Format.plural(entries, "entry", "entries")]
    }

    static func href(ofKey key: String) -> String { "\(PageRoute.root)/key?key=\(percentEncoded(key))" }
}
