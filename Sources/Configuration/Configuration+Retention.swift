import Storage
import TOMLKit

/// A table `[[retention]]`.
struct RetentionTable: Decodable {
    let policy: RetentionPolicy

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case name, account, signer, kind, expired, blobs, bytes
        case keyPrefix = "key-prefix"
        case keepSinceUpload = "keep-since-upload"
        case keepSinceUse = "keep-since-use"
        case keepNewest = "keep-newest"
        case newestOf = "newest-of"

        /// What a blob that no entry names has nothing of.
        static let ofEntries: [Self] = [.keyPrefix, .signer, .kind, .expired, .keepNewest, .newestOf, .bytes]
    }

    init(from decoder: any Decoder) throws {
        let options = try decoder.container(keyedBy: CodingKeys.self)
        let subject = try Self.subject(options)
        let keeps = try Self.keeps(options)
        guard let name = try options.text(.name) else {
            throw DecodingError.keyNotFound(
                CodingKeys.name, DecodingError.Context(codingPath: options.codingPath, debugDescription: ""))
        }
        guard name.wholeMatch(of: /[a-z0-9][a-z0-9._-]{0,62}/) != nil else {
            throw options.wrong(
                .name, "takes up to 63 of a-z, 0-9, dot, dash and underscore, and begins with one of the first two")
        }
        policy = RetentionPolicy(name: name, subject: subject, keeps: keeps)
        if keeps.isEmpty, !policy.isOfExpired {
            throw options.wrong(.name, "\(name) keeps nothing: it would remove all that it matches at once")
        }
    }

    private static func subject(_ options: KeyedDecodingContainer<CodingKeys>) throws -> RetentionPolicy.Subject {
        let account = try options.text(.account)
        guard let blobs = try options.text(.blobs) else {
            return .entries(
                RetentionPolicy.EntryFilter(
                    keyPrefix: try options.text(.keyPrefix), account: account, signer: try options.text(.signer),
                    kind: try options.choice(.kind),
                    isExpired: try options.flag(.expired)))
        }
        guard blobs == "unnamed" else { throw options.wrong(.blobs, "must be \"unnamed\", or left out") }
        for option in CodingKeys.ofEntries where options.contains(option) {
            throw options.wrong(option, "is of entries, and this policy is of blobs that no entry names")
        }
        return .unnamedBlobs(account: account)
    }

    private static func keeps(_ options: KeyedDecodingContainer<CodingKeys>) throws -> RetentionPolicy.Keeps {
        let group: RetentionPolicy.Newest.Group? = try options.choice(.newestOf)
        let count = try options.count(.keepNewest)
        guard (group == nil) == (count == nil) else {
            throw options.wrong(
                group == nil ? .keepNewest : .newestOf, "goes with \(group == nil ? "newest-of" : "keep-newest")")
        }
        return RetentionPolicy.Keeps(
            sinceUpload: try options.period(.keepSinceUpload), sinceUse: try options.period(.keepSinceUse),
            newest: count.map { RetentionPolicy.Newest(count: $0, group: group!) }, bytes: try bytes(options))
    }

    private static func bytes(_ options: KeyedDecodingContainer<CodingKeys>) throws -> Int? {
        guard options.contains(.bytes) else { return nil }
        if let number = try? options.count(.bytes) { return number }
        guard let text = try? options.text(.bytes), let number = byteCount(text), number > 0 else {
            throw options.wrong(
                .bytes, "must be a number of bytes from 1 on, or like \"500 GB\" (K, M, G, T: powers of 1024)")
        }
        return number
    }
}

extension KeyedDecodingContainer {
    fileprivate func wrong(_ key: Key, _ what: String) -> DecodingError {
        .dataCorruptedError(forKey: key, in: self, debugDescription: what)
    }

    /// Not empty: as a filter, that would match everything or nothing.
    fileprivate func text(_ key: Key) throws -> String? {
        guard contains(key) else { return nil }
        guard let text = try? decode(String.self, forKey: key) else { throw wrong(key, "must be a text in quotes") }
        guard !text.isEmpty else { throw wrong(key, "must not be empty") }
        return text
    }

    fileprivate func count(_ key: Key) throws -> Int? {
        guard contains(key) else { return nil }
        guard let count = try? positive(key) else { throw wrong(key, "must be a number from 1 on") }
        return count
    }

    fileprivate func flag(_ key: Key) throws -> Bool {
        guard contains(key) else { return false }
        guard let flag = try? decode(Bool.self, forKey: key) else { throw wrong(key, "must be true or false") }
        return flag
    }

    fileprivate func choice<Value: RawRepresentable & CaseIterable>(_ key: Key) throws -> Value?
    where Value.RawValue == String {
        guard let text = try text(key) else { return nil }
        guard let value = Value(rawValue: text) else {
            let known = Value.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
            throw wrong(key, "must be one of \(known)")
        }
        return value
    }

    fileprivate func period(_ key: Key) throws -> RetentionPeriod? {
        guard let text = try text(key) else { return nil }
        guard let period = RetentionPeriod(text) else {
            throw wrong(key, "must be like \"90 days\": a number from 1 on, and seconds, minutes, hours, days or weeks")
        }
        return period
    }
}

/// TOMLKit doesn't say where in a file an option is.
struct RetentionLines {
    private let lines: [Substring]

    init(_ text: String) { lines = text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// - Returns: the number of the line at which each table begins; empty when they aren't written as such.
    var tables: [Int] {
        lines.indices.filter { lines[$0].prefixMatch(of: /\s*\[\[\s*retention\s*\]\]/) != nil }.map { $0 + 1 }
    }

    /// - Parameter path: of an option, from the top of the file.
    /// - Returns: nil when it is of no policy, or not found.
    func line(of path: [any CodingKey]) -> Int? {
        guard path.first?.stringValue == "retention", let number = path.dropFirst().first?.intValue,
            tables.indices.contains(number)
        else { return nil }
        let begin = tables[number]
        let rest = lines[begin...].prefix { $0.prefixMatch(of: /\s*\[/) == nil }
        guard path.count > 2, let option = path.last?.stringValue,
            let line = rest.firstIndex(where: { line in
                let words = line.drop { $0 == " " || $0 == "\t" || $0 == "\"" }
                return words.hasPrefix(option)
                    && words.dropFirst(option.count).drop { $0 == " " || $0 == "\"" }.first == "="
            })
        else { return begin }
        return line + 1
    }
}
