import Archives
import System

/// A directory on its way to become a tar.gz.
struct DirectoryPacking: Sendable {
    let directory: String
    /// The archive's one top-level name.
    let name: String
    /// Where the tree will be when it is extracted: links may lead there.
    let location: String
    /// Names right below the top that stay out.
    let omitted: [String]
    /// Whether links may lead out, although those who install it with us will refuse it.
    let allowsLeavingLinks: Bool
    /// Whether absolute links within it become relative: slapgrid installs no others from Python 3.14 on.
    let makesLinksRelative: Bool
    let item: String
    let reporter: Reporter

    /// What nodes would not get, or refuse, is a warning.
    func write(to file: GrowingFile) throws {
        let archive = DirectoryArchive(
            directory: directory, name: name, location: location, omitting: omitted,
            makesLinksRelative: makesLinksRelative)
        let summary = try archive.write(
            threads: processorCount,
            progress: { reporter.progress(Progress(item: item, step: .packing, done: $0, total: nil)) },
            to: file.append)
        for (member, reason) in summary.leftOut { reporter.warn("\(member): left out: \(reason)") }
        for (member, target) in summary.leavingLinks {
            reporter.warn("\(member): a link that leads out, to \(target): shacache binary-cache install refuses it")
        }
        guard allowsLeavingLinks || summary.leavingLinks.isEmpty else {
            throw CacheFailure.broken(
                "\(directory): not published: what nodes refuse would stand in their way for ever")
        }
    }
}
