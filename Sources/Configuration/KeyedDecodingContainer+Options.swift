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

    func count(_ key: Key, atMost most: Int = .max) throws -> Int? {
        guard contains(key) else { return nil }
        guard let count = try? positive(key), count <= most else {
            throw wrong(key, "must be a number from 1 \(most == .max ? "on" : "to \(most)")")
        }
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

    /// - Parameter longest: in seconds.
    func period(_ key: Key, atMost longest: Int = .max) throws -> RetentionPeriod? {
        guard let text = try text(key) else { return nil }
        guard let period = RetentionPeriod(text) else {
            throw wrong(key, "must be like \"90 days\": a number from 1 on, and seconds, minutes, hours, days or weeks")
        }
        guard period.seconds <= longest else { throw wrong(key, "must be \(longest) seconds at most") }
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

    /// - Parameter least: what is less is a mistake: of the unit, most often.
    func bytes(_ key: Key, atLeast least: Int = 1) throws -> Int? {
        guard contains(key) else { return nil }
        let form = "a number of bytes from \(least) on, or like \"500 GB\" (K, M, G, T: powers of 1024)"
        guard let number = (try? count(key)) ?? (try? text(key)).flatMap(byteCountWithUnit) else {
            throw wrong(key, "must be \(form)")
        }
        guard number >= least else { throw wrong(key, "is \(number) bytes: must be \(form)") }
        return number
    }

    /// In quotes, a number alone is likely to have lost its unit.
    private func byteCountWithUnit(_ text: String) -> Int? {
        text.last?.isNumber == true ? nil : byteCount(text).flatMap { $0 > 0 ? $0 : nil }
    }

    /// Hosts, as a URL has them.
    func hosts(_ key: Key) throws -> [String]? {
        guard contains(key) else { return nil }
        guard let hosts = try? decode([String].self, forKey: key) else {
            throw wrong(key, "must be like [\"cdn.example.org\"]")
        }
        for host in hosts where host.wholeMatch(of: /[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]/) == nil {
            throw wrong(key, "\"\(host)\" is no host: each is named, without a scheme, a port or *")
        }
        return hosts
    }
}
