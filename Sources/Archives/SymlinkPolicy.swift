import Glibc
import System

/// Whether symbolic links lead out of a tree, judged as the kernel will follow them where the tree will finally be.
///
/// Directories and links are looked up in the tree itself, since `..` behind a linked directory goes up from where the
/// link leads to, which the text of the target doesn't show.
struct SymlinkPolicy: ~Copyable {
    private let top: Descriptor
    private let locations: [[Path.Component]]

    /// As many as the kernel follows.
    private static let linksFollowed = 40

    /// - Parameter locations: of the tree, absolute; only below them may absolute targets lie, and by that spelling.
    init(top: consuming Descriptor, locations: [Path]) {
        self.top = top
        self.locations = locations.map(\.components)
    }

    /// - Parameter directory: that the link is in, from the top of the tree; it is not reached through links.
    func escapes(_ target: Path, from directory: [Path.Component]) -> Bool {
        var place = directory
        guard var ahead = steps(to: target, &place) else { return true }
        var links = Self.linksFollowed
        while let step = ahead.popLast() {
            guard step != [dot, dot] else {
                guard place.popLast() != nil else { return true }
                continue
            }
            place.append(step)
            guard let next = readLink(place) else { continue }
            place.removeLast()
            links -= 1
            // The kernel gives up: in a circle, mostly. This link is judged by itself, and from inside, only `..` leads
            // out: past the text of a circle, for a program that goes by the text.
            guard links >= 0 else { return ahead.contains([dot, dot]) }
            guard let detour = steps(to: next, &place) else { return true }
            ahead += detour
        }
        return false
    }

    /// Another writing of an absolute target in the tree, that leads to the same place.
    ///
    /// - Returns: nil when it is none.
    func relative(_ target: Path, from directory: [Path.Component]) -> Path? {
        var place = directory
        guard target.isAbsolute, let steps = steps(to: target, &place) else { return nil }
        let way = directory.map { _ in [dot, dot][...] } + steps.reversed()
        return way.isEmpty ? Path(".") : Path(way)
    }

    /// The way to a target, its first step last. An absolute one begins at the top.
    ///
    /// - Returns: nil when it lies elsewhere.
    private func steps(to target: Path, _ place: inout [Path.Component]) -> [Path.Component]? {
        guard target.isAbsolute else { return target.components.reversed() }
        let components = target.components
        guard let location = locations.first(where: components.starts) else { return nil }
        place = []
        return components.dropFirst(location.count).reversed()
    }

    /// nil when no link is there.
    private func readLink(_ place: [Path.Component]) -> Path? { Archives.readLink(Path(place), in: top.number) }
}

private let dot = UInt8(ascii: ".")

/// nil when no link is there.
func readLink(_ path: Path, in directory: CInt = AT_FDCWD) -> Path? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX) + 1) { buffer in
        let count = path.withCString { readlinkat(directory, $0, buffer.baseAddress!, buffer.count - 1) }
        guard count >= 0 else { return nil }
        buffer[count] = 0
        return Path(cString: buffer.baseAddress!)
    }
}
