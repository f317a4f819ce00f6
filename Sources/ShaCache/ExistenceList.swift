/// The lists of `POST /-/have`, which asks for many blobs and keys at once.
///
/// A question has a line for each: what stands behind the mount's slash in a GET for it. The answer has as many lines,
/// in the same order: `no`, or `yes`, which for a blob goes on with its size in bytes and the time when it was stored,
/// in seconds since 1970.
public enum ExistenceList {
    /// Behind the mount's slash.
    public static let name = "-/have"
    /// How many lines a question may have.
    public static let limit = 10_000
    /// Of a question, in bytes. nginx refuses longer ones (http.conf).
    public static let byteLimit = 2_000_000

    public enum Answer: Equatable, Sendable {
        case absent
        case blob(size: Int, modified: Int)
        /// A key with at least one entry that a GET would show.
        case key
    }

    /// - Parameter names: without line ends, as no digest and no percent-encoded key has any.
    public static func question(_ names: some Sequence<String>) -> [UInt8] {
        names.reduce(into: []) { body, name in
            body.append(contentsOf: name.utf8)
            body.append(newline)
        }
    }

    /// The names that a question asks for, in order. The last line may lack its end, and any may have a carriage
    /// return.
    ///
    /// - Throws: `Refusal.malformedRequest` or `.listTooLong`.
    public static func names(in question: [UInt8]) throws(Refusal) -> [ArraySlice<UInt8>] {
        var lines = question.split(separator: newline, omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        guard !lines.isEmpty else { throw .malformedRequest("the list is empty") }
        guard lines.count <= limit, question.count <= byteLimit else { throw .listTooLong(limit: limit) }
        return lines.map { $0.last == carriageReturn ? $0.dropLast() : $0 }
    }

    public static func body(_ answers: [Answer]) -> [UInt8] {
        answers.reduce(into: []) { body, answer in
            switch answer {
            case .absent: body.append(contentsOf: "no".utf8)
            case .blob(let size, let modified): body.append(contentsOf: "yes \(size) \(modified)".utf8)
            case .key: body.append(contentsOf: "yes".utf8)
            }
            body.append(newline)
        }
    }

    /// - Returns: nil when that is no answer to a question with so many lines: what a server says that knows no lists.
    public static func answers(in body: [UInt8], count: Int) -> [Answer]? {
        guard body.last == newline else { return nil }
        let lines = body.dropLast().split(separator: newline, omittingEmptySubsequences: false)
        guard lines.count == count else { return nil }
        let answers = lines.compactMap(answer)
        return answers.count == count ? answers : nil
    }

    private static func answer(_ line: ArraySlice<UInt8>) -> Answer? {
        let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        switch words.count {
        case 1 where words[0].elementsEqual("no".utf8): return .absent
        case 1 where words[0].elementsEqual("yes".utf8): return .key
        case 3 where words[0].elementsEqual("yes".utf8):
            guard let size = Int(String(decoding: words[1], as: UTF8.self)), size >= 0,
                let modified = Int(String(decoding: words[2], as: UTF8.self))
            else { return nil }
            return .blob(size: size, modified: modified)
        default: return nil
        }
    }
}

private let newline = UInt8(ascii: "\n")
private let carriageReturn = UInt8(ascii: "\r")
