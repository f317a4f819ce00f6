import Glibc
import ShaCache

/// Where a node's releases are. What is compiled into one leads there.
struct SoftwareRoot {
    private let path: String

    /// - Parameter path: absolute.
    init(_ path: String) { self.path = path }

    /// An entry's relation to a root: which one its release was compiled for.
    enum Relation {
        /// Spelled like this.
        case same(String)
        case unsaid
        case other(String)

        /// By which links in the release may lead to it.
        var otherPaths: [String] {
            if case .same(let path) = self { [path] } else { [] }
        }

        /// The best first.
        fileprivate var rank: Int {
            switch self {
            case .same: 0
            case .unsaid: 1
            case .other: 2
            }
        }
    }

    func relation(to entry: Entry) -> Relation {
        guard let other = entry.content["software_root"]?.string, !other.isEmpty else { return .unsaid }
        return isReached(by: other) ? .same(other) : .other(other)
    }

    /// Whether that path leads here on this machine: however it is spelled, and through symbolic links and mounts.
    func isReached(by other: String) -> Bool {
        guard other.hasPrefix("/"), let ours = try? fileStatus(path), let theirs = try? fileStatus(other) else {
            return false
        }
        return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
    }

    /// Those that were compiled for this root, then those of an unknown one, then the others; each in their order.
    func bestFirst(_ entries: [Entry]) -> [Entry] {
        let ranks = entries.map { relation(to: $0).rank }
        return zip(ranks, entries.indices).sorted(by: <).map { entries[$1] }
    }
}
