import Glibc
import Logging
import ShaCache
import Testing

@testable import Serving

struct JSONLogHandlerTests {
    private func line(_ message: Logger.Message, _ metadata: Logger.Metadata = [:], of handler: Logger.Metadata = [:])
        -> String
    {
        var logger = JSONLogHandler(logLevel: .info)
        logger.metadata = handler
        let event = LogEvent(
            level: .warning, message: message, metadata: metadata, source: nil, file: "", function: "", line: 0)
        return String(decoding: logger.line(of: event), as: UTF8.self)
    }

    @Test func `an event is one JSON object on one line`() throws {
        let line = line("upload", ["status": .stringConvertible(201), "key": "a", "pause": .stringConvertible(1.5)])
        #expect(line.hasPrefix("{\"time\": \"20") && line.hasSuffix("}\n"))
        #expect(
            line.contains("Z\", \"level\": \"warning\", \"event\": \"upload\", \"pid\": \(getpid()), \"key\": \"a\", "))
        #expect(line.hasSuffix("\"pause\": \"1.5\", \"status\": 201}\n"))
        _ = try JSON(Array(line.utf8))
    }

    @Test(arguments: ["a\nb", "a\r\n{\"event\": \"b\"}", "\"}\n{\"", "\u{0}\u{1f}\u{7f}", "\\", "é\u{2028}\u{85}"])
    func `nothing that was sent can look like another event`(_ text: String) throws {
        let line = line("\(text)", ["key": "\(text)"])
        #expect(line.utf8.count { $0 < 0x20 } == 1 && line.utf8.last == UInt8(ascii: "\n"))
        let json = try JSON(Array(line.utf8))
        #expect(json["event"]?.string == text && json["key"]?.string == text)
    }

    @Test func `users and passwords are left out`() throws {
        let line = line("upload", ["from": "at https://alice:secret@example.org/a"])
        #expect(line.contains("\"from\": \"at https://example.org/a\"") && !line.contains("secret"))
    }

    @Test func `what an event says counts before what all events say`() throws {
        let json = try JSON(Array(line("x", ["b": "2"], of: ["a": "1", "b": "1"]).utf8))
        #expect(json["a"]?.string == "1" && json["b"]?.string == "2")
    }
}
