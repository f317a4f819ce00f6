import Glibc

extension Member {
    /// Where the member belongs, below the directory that receives the tree `name`.
    ///
    /// - Returns: nil for the archive's own `./`.
    func place(in name: Path) throws(ArchiveError) -> Path? {
        if case .directory = kind, !path.isAbsolute, path.components.isEmpty { return nil }
        let place = try placed(path, in: name)
        if place == name {
            guard case .directory = kind else { throw refusal("is no directory") }
        }
        return place
    }

    /// Where the file is that a hard link of the archive is to share.
    func place(ofTarget target: Path, in name: Path) throws(ArchiveError) -> Path { try placed(target, in: name) }

    func refusal(_ reason: String) -> ArchiveError { .unsafe(member: path.description, reason: reason) }

    private func placed(_ path: Path, in name: Path) throws(ArchiveError) -> Path {
        guard !path.isAbsolute else { throw refusal("\(path) is an absolute path") }
        // Also because what goes through it component by component would run out of stack.
        guard path.bytes.count < PATH_MAX else { throw refusal("is longer than a path can be") }
        guard !path.climbs else { throw refusal("\(path) goes up with ..") }
        guard path.components.first == name.bytes[...] else { throw refusal("\(path) is not below \(name)/") }
        return Path(path.components)
    }
}
