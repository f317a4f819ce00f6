public import ShaCache
import System

/// An entry's metadata of its blob, in order.
public struct Metadata: Sendable {
    public private(set) var members: [(name: String, value: JSON)] = []

    public init() {}

    /// - Parameter path: of a file with a JSON object.
    public init(file path: String) throws {
        let document: JSON
        do {
            document = try JSON(contentsOfFile(path))
        } catch let malformed as JSON.Malformed {
            throw UsageError("\(path): not JSON: \(malformed.reason) at byte \(malformed.offset)")
        } catch {
            throw UsageError("\(error)")
        }
        guard case .object(let members) = document else { throw UsageError("\(path): not a JSON object") }
        for member in members {
            guard let name = member.name.string else { throw UsageError("\(path): a name holds a lone surrogate") }
            self[name] = member.value
        }
    }

    /// - Parameters:
    ///   - path: of a file with a JSON object; nil is an empty one.
    ///   - assignments: `NAME=VALUE`, which override the file's.
    public init(file path: String?, assignments: [String]) throws {
        self = try path.map { try Metadata(file: $0) } ?? Metadata()
        for assignment in assignments { try assign(assignment) }
    }

    /// Sets a member in place, or appends it.
    public subscript(name: String) -> JSON? {
        get { members.first { $0.name == name }?.value }
        set {
            let index = members.firstIndex { $0.name == name }
            switch (index, newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append((name, value))
            case (nil, nil): break
            }
        }
    }

    /// Adds a member that isn't there yet.
    public mutating func setDefault(_ name: String, _ value: JSON) {
        if self[name] == nil { self[name] = value }
    }

    /// - Parameter assignment: `NAME=VALUE`; the value is a text.
    private mutating func assign(_ assignment: String) throws {
        guard let equals = assignment.firstIndex(of: "=") else {
            throw UsageError("\(assignment): there is no = in it", hint: "write NAME=VALUE")
        }
        self[String(assignment[..<equals])] = JSON(String(assignment[assignment.index(after: equals)...]))
    }

    /// Adds the URL that a key is made of, as everybody may see it.
    public mutating func setDefault(_ name: String, url: String) { setDefault(name, JSON(withoutCredentials(url))) }

    /// What of it seems to be for few eyes, one line each; it would be public, and signed, for ever.
    public var secrets: [String] {
        members.flatMap { name, value in
            let passwords =
                value.withoutCredentials.dumped() == value.dumped()
                ? [] : ["metadata \(name): a URL there has a user or a password, which is left out"]
            return passwords
                + value.words.filter { $0.contains("://") }.flatMap(secretParameters).map {
                    "metadata \(name): the parameter \($0) of a URL there looks like a secret, and everybody will see it"
                }
        }
    }

    /// As the deployed client writes it: the blob's name first.
    func object(naming digest: Digest) -> JSON {
        let others = members.filter { $0.name != "sha512" }
        let object = JSON.object(
            [(JSON.Text("sha512"), JSON(digest.description))] + others.map { (JSON.Text($0.name), $0.value) })
        // Whatever brought it here: what is signed is public, and can't be called back.
        return object.withoutCredentials
    }
}

extension JSON {
    /// Of all texts in it.
    fileprivate var words: [String] {
        switch self {
        case .null, .bool, .number: []
        case .string(let text): (text.string ?? "").split(whereSeparator: \.isWhitespace).map(String.init)
        case .array(let elements): elements.flatMap(\.words)
        case .object(let members): members.flatMap(\.value.words)
        }
    }
}
