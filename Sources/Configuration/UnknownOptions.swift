import TOMLKit

/// The options of a file that don't exist, as far as its sections were read. TOMLKit's own look for them comes too late: when
/// one that is needed is missing, it says nothing of the one that is misspelt.
final class UnknownOptions {
    private var paths: [[any CodingKey]] = []

    fileprivate func add(_ path: [any CodingKey]) { paths.append(path) }

    /// - Throws: `ConfigurationError` when there are any.
    func refuse(_ lines: OptionLines) throws {
        guard !paths.isEmpty else { return }
        let options = paths.sorted { lines.line(of: $0) ?? 0 < lines.line(of: $1) ?? 0 }
        let places = options.map { lines.place(of: $0, saying: "unknown option ") }
        throw ConfigurationError(description: places.joined(separator: ", "))
    }
}

extension CodingUserInfoKey {
    static let unknownOptions = CodingUserInfoKey(rawValue: "unknownOptions")!
}

extension Decoder {
    /// The options of a section; those that don't exist are noted.
    func options<Key: CodingKey>(_ keys: Key.Type) throws -> KeyedDecodingContainer<Key> {
        if let unknown = userInfo[.unknownOptions] as? UnknownOptions {
            for name in try container(keyedBy: OptionName.self).allKeys where Key(stringValue: name.stringValue) == nil
            {
                unknown.add(codingPath + [name])
            }
        }
        return try container(keyedBy: keys)
    }
}

/// Any name, or the number of a table in an array, from 0 on.
struct OptionName: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(stringValue: String) { (self.stringValue, intValue) = (stringValue, nil) }

    init(intValue: Int) { (stringValue, self.intValue) = ("\(intValue)", intValue) }
}
