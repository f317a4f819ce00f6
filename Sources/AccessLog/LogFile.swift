import Foundation
import Glibc
import OpenSSL
import System

/// One file of an access log, open. Rotation may rename or compress it meanwhile: it is identified by its content.
struct LogFile: ~Copyable {
    private let file: Descriptor

    init(opening path: String) throws(LogError) {
        file = try asLogError(try Descriptor(path, flags: O_RDONLY | O_NONBLOCK))
    }

    func lines(from position: Int) -> LogLineReader { LogLineReader(descriptor: file.number, from: position) }

    /// The SHA-256 of how it begins, up to the first line that has nginx's request id, which makes it unlike any other,
    /// also when that line is of an older format. Gzip, a new name or a copy of it change nothing.
    ///
    /// - Returns: nil when there is no such line near the beginning.
    func fingerprint() throws(LogError) -> [UInt8]? {
        var lines = lines(from: 0)
        let hash = Hash(.sha256)
        while let line = try lines.next(), lines.position <= LogLineReader.lengthLimit {
            line.withUnsafeBytes { hash.update($0) }
            guard LogLine.requestID(of: line) == nil else { return hash.finish() }
        }
        return nil
    }
}

/// Why a log can't be read.
public struct LogError: Error, CustomStringConvertible {
    public let description: String

    init(description: String) { self.description = description }

    /// The caller adds the name of the file.
    init(_ error: SystemError) { self.init(description: "\(error.operation): \(error.reason)") }
}

/// Puts what the system refused in the log's terms.
func asLogError<Result: ~Copyable>(_ body: @autoclosure () throws(SystemError) -> Result) throws(LogError) -> Result {
    do throws(SystemError) { return try body() } catch { throw LogError(error) }
}

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
