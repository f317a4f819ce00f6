import Client
import Glibc
import ShaCache
import TextTable

/// A lookup, for people and for scripts.
struct LookupReport {
    private let lookup: Lookup
    private let key: Key
    /// This machine; nil when no entry names a platform, or when it can't be determined.
    private let here: Platform?

    /// - Parameter warn: told why this machine can't be known, when an entry names a platform.
    init(_ lookup: Lookup, key: Key, warn: (String) -> Void) {
        self.lookup = lookup
        self.key = key
        do {
            here = lookup.rows.contains { $0.platform != nil } ? try .here() : nil
        } catch {
            here = nil
            warn("which entries fit this machine can't be said: \(error)")
        }
    }

    // MARK: Judging

    private func fits(_ row: Lookup.LookupRow) -> Bool? { row.platform.flatMap { here?.runs($0) } }

    func status(fitting isRelease: Bool) -> ExitStatus {
        let trusted = lookup.rows.filter(\.isTrusted)
        guard !trusted.isEmpty else { return lookup.lines.isEmpty ? .missing : .untrusted }
        let fitting = trusted.filter { !isRelease || fits($0) == true }
        if fitting.contains(where: { $0.status != nil }) { return .done }
        return fitting.contains(where: \.isUnknown) ? .unreachable : .missing
    }

    // MARK: Text

    var text: String {
        guard !lookup.lines.isEmpty else { return "\(key.text.visible): has no entries" }
        let columns = ["trusted", "signer", "blob", "size", "stored", "platform", "fits", "says", "sha512"]
        let table = textTable(
            columns: columns + (lookup.provenance == nil ? [] : ["from"]),
            rows: lookup.lines.map { cells($0) + origin(of: $0) })
        let platform = here.map { "; this machine is \($0)" } ?? ""
        let count = counted(lookup.lines.count, "entry", "entries")
        return "\(key.text.visible): \(count)\(fetched)\(platform)\n\n\(table)"
    }

    private var fetched: String {
        lookup.provenance.map {
            "; a near cache has \($0.entries) from its upstream \($0.upstream.visible), as of \(duration(Double($0.age))) ago"
        } ?? ""
    }

    private func origin(of line: Lookup.Line) -> [String] {
        lookup.provenance == nil ? [] : [line.upstream ?? "–"]
    }

    private func cells(_ line: Lookup.Line) -> [String] {
        switch line {
        case .unreadable(let reason): ["no", "–", "–", "–", "–", "–", "–", "unreadable: \(reason)", "–"]
        case .entry(let row):
            [
                row.isTrusted ? "yes" : "no", row.signer, row.blobText,
                row.status?.size.map(sizeText) ?? "–", row.age ?? "–", row.platform?.description ?? "–",
                fits(row).map { $0 ? "yes" : "no" } ?? "–", row.gist,
                String(row.entry.sha512.description.prefix(16)) + "…",
            ]
        }
    }

    // MARK: JSON

    var json: JSON {
        .object([
            "key": JSON(key.text),
            "here": here.map { .object(["multiarch": JSON($0.multiarch), "os": JSON($0.os)]) } ?? .null,
            "fetched": lookup.provenance.map {
                .object(["upstream": JSON($0.upstream), "age": .number("\($0.age)")])
            } ?? .null,
            "entries": .array(lookup.lines.map(json)),
        ])
    }

    private func json(_ line: Lookup.Line) -> JSON {
        switch line {
        case .unreadable(let reason): .object(["trusted": .bool(false), "unreadable": JSON(reason)])
        case .entry(let row):
            .object([
                "trusted": .bool(row.isTrusted), "signer": row.isTrusted ? JSON(row.signer) : .null,
                "reason": row.isTrusted ? .null : JSON(row.signer),
                "entry": JSON(hex(row.entry.digest)), "sha512": JSON(row.entry.sha512.description),
                "blob": row.isUnknown ? .null : .bool(row.status != nil),
                "size": row.status?.size.map { .number("\($0)") } ?? .null,
                "stored": row.status?.modified.map { .number("\($0)") } ?? .null,
                "upstream": row.upstream.map { JSON($0) } ?? .null,
                "fits": fits(row).map { .bool($0) } ?? .null, "metadata": row.entry.content,
            ])
        }
    }
}

extension Lookup.Line {
    fileprivate var upstream: String? {
        if case .entry(let row) = self { row.upstream } else { nil }
    }
}

extension Lookup.LookupRow {
    fileprivate var isTrusted: Bool {
        if case .trusted = trust { true } else { false }
    }

    /// The signer that verifies it, or why none does.
    fileprivate var signer: String {
        switch trust {
        case .trusted(let name): name
        case .unsigned: "unsigned"
        case .unknownSigner: "no listed certificate verifies it"
        }
    }

    /// nil when the blob isn't there, or that is unknown.
    fileprivate var status: Cache.BlobStatus? {
        if case .there(let status) = blob { status } else { nil }
    }

    fileprivate var isUnknown: Bool {
        if case .unknown = blob { true } else { false }
    }

    fileprivate var blobText: String {
        switch blob {
        case .there: "there"
        case .missing: "dangling"
        case .unknown: "unknown"
        }
    }

    /// How long the blob has been in the cache.
    fileprivate var age: String? {
        status?.modified.map { "\(duration(Double(max(0, time(nil) - $0)))) ago" }
    }

    /// The metadata in short, without what has a column of its own.
    fileprivate var gist: String {
        guard case .object(let members) = entry.content else { return "" }
        let shown = members.filter { !["sha512", "multiarch", "os"].contains($0.name.string ?? "") }
        let said = shown.map { "\($0.name.string ?? "?")=\($0.value.string ?? $0.value.dumped())" }.joined(
            separator: " ")
        // Before a password loses the @ by which it is known.
        let text = withoutCredentials(in: said)
        return text.count > 60 ? "\(text.prefix(59))…" : text
    }
}
