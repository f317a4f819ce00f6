public import Fetching
public import ShaCache
public import Storage
import System

/// Where a mirror knows from what another cache has.
public enum MirrorSource: Sendable {
    /// Its feed: what is taken of it, and whether it is read to its end or on and on.
    case feed(UpstreamFeed, MirrorRecord.Selection, isFollowing: Bool)
    /// Keys, the next one at each call. One that can't be read has a reason in its place.
    case keys(@Sendable () throws -> Result<Key, UnreadableKey>?)

    /// - Parameter file: with a key on each line; `-` is standard input; nil: none.
    public static func keys(inFile file: String?, and more: [Key]) throws -> MirrorSource {
        let lines = try file.map { file in
            LineReader(try file == "-" ? Descriptor.duplicate(0, named: "standard input") : Descriptor(file))
        }
        let rest = Monitor((lines: lines, number: 0, more: more))
        return .keys {
            try rest.changeQuietly { rest in
                while let line = try rest.lines?.next() {
                    rest.number += 1
                    if line.allSatisfy({ [0x09, 0x0D, 0x20].contains($0) }) { continue }
                    return read(line).mapError { UnreadableKey(description: "\(file!), line \(rest.number): \($0)") }
                }
                return rest.more.popLast().map { .success($0) }
            }
        }
    }

    private static func read(_ line: [UInt8]) -> Result<Key, Refusal> {
        Result { () throws(Refusal) in
            guard let text = String(validating: line, as: UTF8.self) else {
                throw Refusal.malformedKey("the key is not valid UTF-8")
            }
            return try Key(text)
        }
    }
}

public struct UnreadableKey: Error, CustomStringConvertible {
    public let description: String
}

extension FeedLine {
    /// What is to be done for it.
    var item: MirrorItem {
        switch event {
        case .key(let key): MirrorItem(.key, key.text)
        case .blobHidden(let digest): MirrorItem(.hiddenBlob, "\(digest)")
        case .blobShown(let digest): MirrorItem(.blob, "\(digest)")
        case .unreadable: MirrorItem(.line, "\(previous)")
        }
    }
}
