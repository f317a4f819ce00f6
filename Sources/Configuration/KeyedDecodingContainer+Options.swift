import Storage
import TOMLKit

/// The values that options of several tables have.
extension KeyedDecodingContainer {
    func wrong(_ key: Key, _ what: String) -> DecodingError {
        .dataCorruptedError(forKey: key, in: self, debugDescription: what)
    }

    /// Not empty: as a filter, that would match everything or nothing.
    func text(_ key: Key) throws -> String? {
        guard contains(key) else { return nil }
        guard let text = try? decode(String.self, forKey: key) else { throw wrong(key, "must be a text in quotes") }
        guard !text.isEmpty else { throw wrong(key, "must not be empty") }
        return text
    }

    func count(_ key: Key) throws -> Int? {
        guard contains(key) else { return nil }
        guard let count = try? positive(key) else { throw wrong(key, "must be a number from 1 on") }
        return count
    }

    func flag(_ key: Key) throws -> Bool {
        guard contains(key) else { return false }
        guard let flag = try? decode(Bool.self, forKey: key) else { throw wrong(key, "must be true or false") }
        return flag
    }

    func choice<Value: RawRepresentable & CaseIterable>(_ key: Key) throws -> Value?
    where Value.RawValue == String {
        guard let text = try text(key) else { return nil }
        guard let value = Value(rawValue: text) else {
            let known = Value.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
            throw wrong(key, "must be one of \(known)")
        }
        return value
    }

    func period(_ key: Key) throws -> RetentionPeriod? {
        guard let text = try text(key) else { return nil }
        guard let period = RetentionPeriod(text) else {
            throw wrong(key, "must be like \"90 days\": a number from 1 on, and seconds, minutes, hours, days or weeks")
        }
        return period
    }

    /// Of a policy or an upstream.
    func tableName(_ key: Key) throws -> String {
        guard let name = try text(key) else {
            throw DecodingError.keyNotFound(key, DecodingError.Context(codingPath: codingPath, debugDescription: ""))
        }
        guard name.wholeMatch(of: /[a-z0-9][a-z0-9._-]{0,62}/) != nil else {
            throw wrong(
                key, "takes up to 63 of a-z, 0-9, dot, dash and underscore, and begins with one of the first two")
        }
        return name
    }

    func bytes(_ key: Key) throws -> Int? {
        guard contains(key) else { return nil }
        if let number = try? count(key) { return number }
        guard let text = try? text(key), let number = byteCount(text), number > 0 else {
            throw wrong(key, "must be a number of bytes from 1 on, or like \"500 GB\" (K, M, G, T: powers of 1024)")
        }
        return number
    }
}
