extension JSON {
    /// Whether a URL in a string or a name has a user or a password.
    public var hasCredentials: Bool {
        switch self {
        case .string(let text): text.hasCredentials
        case .array(let elements): elements.contains(where: \.hasCredentials)
        case .object(let members): members.contains { $0.name.hasCredentials || $0.value.hasCredentials }
        case .null, .bool, .number: false
        }
    }
}

extension JSON.Text {
    fileprivate var hasCredentials: Bool { String(decoding: bytes, as: UTF8.self).hasCredentials }
}

extension String {
    /// Whether a URL in it has a user or a password.
    public var hasCredentials: Bool { !withoutCredentials(in: self).utf8.elementsEqual(utf8) }
}
