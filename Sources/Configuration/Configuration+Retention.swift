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
        let options = try decoder.options(CodingKeys.self)
        let subject = try Self.subject(options)
        let keeps = try Self.keeps(options)
        let name = try options.tableName(.name)
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
            newest: count.map { RetentionPolicy.Newest(count: $0, group: group!) }, bytes: try options.bytes(.bytes))
    }
}
