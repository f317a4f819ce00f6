import Foundation
public import Logging
import ShaCache

/// Writes each event as one JSON object on one line, so that nothing that a client sent can look like a second event.
/// Of URLs in it, users and passwords are left out: more people read logs than databases.
public struct JSONLogHandler: LogHandler {
    public var logLevel: Logger.Level
    public var metadata: Logger.Metadata = [:]

    public init(logLevel: Logger.Level) { self.logLevel = logLevel }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        // One call, so that lines of several threads and processes don't mix; and not Foundation's, which ends the
        // process when the disk under the log is full.
        line(of: event).withUnsafeBytes { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    func line(of event: LogEvent) -> [UInt8] {
        var line = Array("{\"time\": ".utf8)
        line.appendJSONString(Date.now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
        let fields: [(String, Logger.MetadataValue)] =
            [("level", "\(event.level)"), ("event", "\(event.message)"), ("pid", .stringConvertible(getpid()))]
            + metadata.merging(event.metadata ?? [:]) { _, new in new }.sorted { $0.key < $1.key }
        for (name, value) in fields {
            line.append(contentsOf: ", ".utf8)
            line.appendJSONString(name)
            line.append(contentsOf: ": ".utf8)
            if case .stringConvertible(let number as any BinaryInteger) = value {
                line.append(contentsOf: "\(number)".utf8)
            } else {
                line.appendJSONString(withoutCredentials(in: "\(value)"))
            }
        }
        return line + Array("}\n".utf8)
    }
}
