import Foundation
public import Postgres
public import Storage
import System
import TOMLKit

/// Why a configuration can't be used: in which file, and what about it.
public struct ConfigurationError: Error, CustomStringConvertible {
    public let description: String
}

extension Configuration {
    /// The file that was read. A class, since what a configuration says of itself has no text of a file.
    final class Origin: Sendable {
        let path: String
        let lines: OptionLines

        init(path: String, lines: OptionLines) { (self.path, self.lines) = (path, lines) }
    }

    /// - Throws: `ConfigurationError`, also for options that don't exist: a misspelt one must not be ignored.
    public init(file path: String) throws {
        do {
            guard let text = String(validating: try contentsOfFile(path), as: UTF8.self) else {
                throw ConfigurationError(description: "\(path): is not valid UTF-8")
            }
            // TOMLKit takes a text only to there: what is before it would match more than is said.
            for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
            where line.contains(/\0|\\u0000|\\U00000000/) {
                throw ConfigurationError(description: "\(path): line \(number + 1): a text can't have a NUL")
            }
            try self.init(text: text, path: path)
        } catch let error as ConfigurationError {
            throw error
        } catch let failure as SystemError {
            throw ConfigurationError(description: failure.description)
        }
    }

    private init(text: String, path: String) throws(ConfigurationError) {
        let lines = OptionLines(text)
        let unknown = UnknownOptions()
        var decoder = TOMLDecoder()
        decoder.userInfo[.unknownOptions] = unknown
        do {
            let decoded = Result { try decoder.decode(Configuration.self, from: text) }
            // First: a misspelt one is why another is missing.
            try unknown.refuse(lines)
            self = try decoded.get()
            origin = Origin(path: path, lines: lines)
            try placeRetention(lines)
            try checkUpstreams(lines)
        } catch {
            throw ConfigurationError(description: "\(path): \(Self.reason(error, lines))")
        }
    }

    /// Names must tell policies apart, since what one has hidden bears its name.
    private mutating func placeRetention(_ lines: OptionLines) throws {
        for (number, line) in lines.tables("retention").enumerated() where retention.indices.contains(number) {
            retention[number].line = line
        }
        for (number, policy) in retention.enumerated()
        where retention[..<number].contains(where: { $0.name == policy.name }) {
            throw RetentionError(policy, "there is another one of that name before it")
        }
    }

    private static func reason(_ error: any Error, _ lines: OptionLines) -> String {
        switch error {
        case let error as TOMLParseError:
            return "line \(error.source.begin.line): \(error.description)"
        case DecodingError.keyNotFound(let key, let context)
        where context.codingPath.last?.stringValue == key.stringValue:
            // TOMLKit's, also where the value is of another type.
            return "\(lines.place(of: context.codingPath)) is missing, or of another type"
        case DecodingError.keyNotFound(let key, let context):
            return "\(lines.place(of: context.codingPath, option: key)) is missing"
        case DecodingError.typeMismatch(let type, let context) where context.codingPath.count == 1:
            let name = context.codingPath[0].stringValue
            let form = type is TOMLTable.Type ? "[\(name)]" : "[[\(name)]]"
            return "\(lines.place(of: context.codingPath)): its tables are written \(form)"
        case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
            DecodingError.dataCorrupted(let context):
            return "\(lines.place(of: context.codingPath)): \(context.debugDescription)"
        default:
            return "\(error)"
        }
    }
}

extension KeyedDecodingContainer {
    /// A section that is left out has its defaults, as an empty one has.
    func section<Section: Decodable>(_ key: Key) throws -> Section {
        try decodeIfPresent(Section.self, forKey: key) ?? TOMLDecoder().decode(Section.self, from: TOMLTable())
    }

    /// A number that makes sense from 1 on.
    func positive(_ key: Key) throws -> Int? {
        guard let number = try decodeIfPresent(Int.self, forKey: key) else { return nil }
        guard number > 0 else { throw wrong(key, "must be 1 or more") }
        return number
    }

    /// The beginning of a URL, to which a path with its slash is added. Logs, reports and pages show it.
    func url(_ key: Key) throws -> String? {
        guard let text = try decodeIfPresent(String.self, forKey: key) else { return nil }
        guard let match = text.wholeMatch(of: /https?:\/\/([^\s\/?#]+)(\/[^\s?#]*[^\s\/?#])?/) else {
            throw wrong(key, "must be http:// or https://, a host, and no slash at the end")
        }
        guard !match.1.contains("@") else {
            throw wrong(key, "must have no user and no password, which logs and pages would show")
        }
        return text
    }
}

extension Configuration {
    /// Statements of a worker end after 10 s, also those that wait for another upload of the same blob: then the
    /// answer is 503, and a stuck session delays others no longer.
    public var workerDatabase: ConnectionOptions { options(role: "shacache_worker", statementTimeLimit: 10) }

    /// Of the page. Shorter than its role's limit, since a person waits.
    public var pageDatabase: ConnectionOptions {
        options(role: "shacache_page", statementTimeLimit: 3, isReadOnly: true)
    }

    /// For what is shown at /metrics: a scrape waits a few seconds at most, also for a server that hangs.
    public var metricsDatabase: ConnectionOptions { options(role: "shacache_worker", statementTimeLimit: 1) }

    public var adminDatabase: ConnectionOptions { options(role: "shacache_admin") }

    /// For collections: the only role that may delete.
    public var collectorDatabase: ConnectionOptions { options(role: "shacache_collector") }

    /// For migrations.
    public var ownerDatabase: ConnectionOptions { options(role: "shacache_owner") }

    private func options(role: String, statementTimeLimit: Int = 0, isReadOnly: Bool = false) -> ConnectionOptions {
        ConnectionOptions(
            connectionString: database.connection, role: role, statementTimeLimit: statementTimeLimit,
            isReadOnly: isReadOnly)
    }
}

extension Configuration {
    /// What `body` makes of the store.
    ///
    /// - Throws: for a `StoreError` one that names the directory: an operator needs it, and a client must not learn it.
    public func withStore<Result>(_ body: (LocalBlobs) throws -> Result) throws -> Result {
        do {
            return try body(LocalBlobs(directory: store.directory))
        } catch let error as StoreError {
            throw ConfigurationError(description: "\(store.directory): \(error)")
        }
    }

    /// The store of a process that serves it, with the directories that it needs.
    ///
    /// - Throws: as `withStore`.
    public func preparedStore() throws -> LocalBlobs {
        try withStore { store in
            try store.prepare()
            return store
        }
    }
}
