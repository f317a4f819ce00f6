import Glibc
import OpenSSL

/// One file of an access log, open. Rotation may rename or compress it meanwhile: what it is, its content says.
struct LogFile: ~Copyable {
    private let descriptor: CInt

    init(opening path: String) throws(LogError) {
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw LogError("open") }
    }

    deinit { close(descriptor) }

    func lines(from position: Int) -> LineReader { LineReader(descriptor: descriptor, from: position) }

    /// The SHA-256 of how it begins, up to the first line that has nginx's request id, which makes it unlike any other,
    /// also when that line is of an older format. Gzip, a new name or a copy of it change nothing.
    ///
    /// - Returns: nil when there is no such line near the beginning.
    func fingerprint() throws(LogError) -> [UInt8]? {
        var lines = lines(from: 0)
        let hash = Hash(.sha256)
        while let line = try lines.next(), lines.position <= LineReader.lengthLimit {
            line.withUnsafeBytes { hash.update($0) }
            guard LogLine.requestID(of: line) == nil else { return hash.finish() }
        }
        return nil
    }
}
