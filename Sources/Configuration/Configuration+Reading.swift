import Foundation
import System
import TOMLKit

/// Why a configuration can't be used: in which file, and what about it.
public struct ConfigurationError: Error, CustomStringConvertible {
    public let description: String
}

extension Configuration {
    /// - Throws: `ConfigurationError`, also for options that don't exist: a misspelt one must not be ignored.
    public init(file path: String) throws {
        do {
            guard let text = String(validating: try contentsOfFile(path), as: UTF8.self) else {
                throw ConfigurationError(description: "\(path): is not valid UTF-8")
            }
            self = try TOMLDecoder(strictDecoding: true).decode(Configuration.self, from: text)
        } catch let error as ConfigurationError {
            throw error
        } catch let failure as SystemError {
            throw ConfigurationError(description: failure.description)
        } catch {
            throw ConfigurationError(description: "\(path): \(Self.reason(error))")
        }
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as UnexpectedKeysError:
            return "unknown option \(error.keys.values.map(name).sorted().joined(separator: ", "))"
        case let error as TOMLParseError:
            return "line \(error.source.begin.line): \(error.description)"
        case DecodingError.keyNotFound(let key, let context):
            return "\(name(context.codingPath + [key])) is missing"
        case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
            DecodingError.dataCorrupted(let context):
            return "\(name(context.codingPath)): \(context.debugDescription)"
        default:
            return "\(error)"
        }
    }

    private static func name(_ path: [any CodingKey]) -> String { path.map(\.stringValue).joined(separator: ".") }
}

extension KeyedDecodingContainer {
    /// A section that is left out has its defaults, as an empty one has.
    func section<Section: Decodable>(_ key: Key) throws -> Section {
        try decodeIfPresent(Section.self, forKey: key) ?? TOMLDecoder().decode(Section.self, from: TOMLTable())
    }

    /// A number that makes sense from 1 on.
    func positive(_ key: Key) throws -> Int? {
        guard let number = try decodeIfPresent(Int.self, forKey: key) else { return nil }
        guard number > 0 else {
            throw DecodingError.dataCorruptedError(forKey: key, in: self, debugDescription: "must be 1 or more")
        }
        return number
    }

    /// The beginning of a URL, to which a path with its slash is added.
    func url(_ key: Key) throws -> String? {
        guard let text = try decodeIfPresent(String.self, forKey: key) else { return nil }
        guard text.wholeMatch(of: /https?:\/\/[^\s\/?#]+(\/[^\s?#]*[^\s\/?#])?/) != nil else {
            throw DecodingError.dataCorruptedError(
                forKey: key, in: self, debugDescription: "must be http:// or https://, a host, and no slash at the end")
        }
        return text
    }
}
