import Foundation

/// The files that rotation makes of one log.
enum Rotation {
    /// - Parameter path: of the log that nginx writes.
    /// - Returns: the paths of it, and of what logrotate(8) calls what it was before, with numbers or dates; the
    ///   newest first: so a file that is renamed meanwhile is met twice rather than never.
    static func files(of path: String) throws(LogError) -> [String] {
        let (directory, name) = (
            NSString(string: path).deletingLastPathComponent, NSString(string: path).lastPathComponent
        )
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory.isEmpty ? "." : directory)
        } catch {
            throw LogError(description: "\(path): its directory can't be read")
        }
        let rotated = names.filter { $0.hasPrefix(name) && isSuffix($0.dropFirst(name.count)) }
        guard !rotated.isEmpty else { throw LogError(description: "\(path): there is no such log") }
        return rotated.sorted { $0.compare($1, options: .numeric) == .orderedAscending }
            .map { directory.isEmpty ? $0 : "\(directory)/\($0)" }
    }

    private static func isSuffix(_ text: Substring) -> Bool {
        text.isEmpty || text.wholeMatch(of: /[.-][0-9]+(-[0-9]+)?(\.gz)?/) != nil
    }
}
