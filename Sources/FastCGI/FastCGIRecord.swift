/// Of a FastCGI record (the specification's version 1.0).
enum RecordKind: UInt8 {
    case begin = 1
    case end = 3
    case parameters = 4
    case input = 5
    case output = 6
}

/// One record of request 1.
func record(_ kind: RecordKind, _ content: [UInt8]) -> [UInt8] {
    [1, kind.rawValue, 0, 1, UInt8(content.count >> 8), UInt8(content.count & 255), 0, 0] + content
}

/// A parameter, as the content of such a record has it.
func pair(_ name: String, _ value: String) -> [UInt8] {
    length(name.utf8.count) + length(value.utf8.count) + Array(name.utf8) + Array(value.utf8)
}

private func length(_ count: Int) -> [UInt8] {
    guard count > 127 else { return [UInt8(count)] }
    return [UInt8(count >> 24) | 128, UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255)]
}

/// A request of a responder without a body, whose connection is not kept.
///
/// - Parameter parameters: of less than 64 KiB together.
func requestRecords(_ parameters: [(name: String, value: String)]) -> [UInt8] {
    record(.begin, [0, 1, 0, 0, 0, 0, 0, 0])
        + record(.parameters, parameters.flatMap { pair($0.name, $0.value) }) + record(.parameters, [])
        + record(.input, [])
}

/// What a whole sequence of records says.
struct RecordedAnswer {
    private(set) var output: [UInt8] = []
    /// The content of the record that ends it; nil when there is none.
    private(set) var end: [UInt8]?

    init(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while rest.count >= 8 {
            let head = Array(rest.prefix(8))
            let (length, padding) = (Int(head[4]) << 8 | Int(head[5]), Int(head[6]))
            let content = rest.dropFirst(8).prefix(length)
            if head[1] == RecordKind.output.rawValue { output += content }
            if head[1] == RecordKind.end.rawValue { end = Array(content) }
            rest = rest.dropFirst(8 + length + padding)
        }
    }
}
