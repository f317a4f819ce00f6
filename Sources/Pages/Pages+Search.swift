import ShaCache
import Storage

extension Pages {
    func search(_ typed: String, _ view: View) throws -> PageAnswer {
        guard typed.utf8.count <= Search.lengthLimit else { return message(400, .tooLong, view.request) }
        let text = String(typed.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
        let search = Search(text)
        let includingHidden = view.visitor.isOperator
        let exact = try search.keys.compactMap { what, key -> Templates.Model? in
            let count = try catalog.countEntries(of: key.text, includingHidden: includingHidden)
            return count == 0 ? nil : found(key.text, count).merging(["what": what]) { $1 }
        }
        let known = search.keys.map { Array($0.key.text.utf8) }
        let alike = try search.beginnings.flatMap {
            try catalog.keys(beginningWith: $0, includingHidden: includingHidden, limit: Self.mostFound)
        }.filter { !known.contains(Array($0.text.utf8)) }.map { found($0.text, $0.entries) }
        let blobs =
            try search.blobs.map {
                try catalog.blobs(from: $0.first, to: $0.last, includingHidden: includingHidden, limit: Self.mostFound)
            } ?? []
        return render(
            "search", title: "Looking for \(text.shown())", view,
            [
                "q": text, "typed": text.shown(), "exact": exact, "hasExact": !exact.isEmpty,
                "alike": alike, "hasAlike": !alike.isEmpty,
                "blobs": blobs.map { model($0, view) }, "hasBlobs": !blobs.isEmpty,
                "nothing": exact.isEmpty && alike.isEmpty && blobs.isEmpty,
                "tried": search.keys.map { ["what": $0.what, "key": $0.key.text.shown()] },
                "triedHash": search.blobs != nil, "most": Self.mostFound,
            ])
    }

    private static let mostFound = 20

    private func found(_ key: String, _ entries: Int) -> Templates.Model {
        ["key": key.shown(), "href": Self.href(ofKey: key), "entries": Amounts.plural(entries, "entry", "entries")]
    }

    static func href(ofKey key: String) -> String { "\(PageRoute.root)/key?key=\(percentEncoded(key))" }
}
