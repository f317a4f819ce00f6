/// A URL without the user and the password that may stand in it; nor those of a URL that stands inside it, as a
/// parameter or behind a mirror's name, percent-encoded or not. Nothing else is changed.
///
/// What is meant to be a URL but is none, since the password holds an unescaped `/`, `?` or `#`, loses all up to the
/// last `@`: too much rather than too little.
public func withoutCredentials(_ url: String) -> String {
    String(decoding: Array(url.utf8)[...].withoutCredentials, as: UTF8.self)
}

/// A text, as a message or what a server says, where no URL has a user or a password. Each ends at white space.
public func withoutCredentials(in text: String) -> String {
    String(decoding: Array(text.utf8).withoutCredentialsInWords, as: UTF8.self)
}

extension JSON {
    /// The same value without users and passwords in the URLs of its texts.
    public var withoutCredentials: JSON {
        switch self {
        case .null, .bool, .number: self
        case .string(let text): .string(text.withoutCredentials)
        case .array(let elements): .array(elements.map(\.withoutCredentials))
        case .object(let members):
            .object(members.map { ($0.name.withoutCredentials, $0.value.withoutCredentials) })
        }
    }
}

extension JSON.Text {
    fileprivate var withoutCredentials: Self {
        Self(bytes: bytes.withoutCredentialsInWords, hasLoneSurrogate: hasLoneSurrogate)
    }
}

// By bytes: a letter of Swift's, `@` with an accent on it, isn't the `@` that ends a password, and is one for libcurl.
extension ArraySlice<UInt8> {
    fileprivate var withoutCredentials: [UInt8] {
        // Asked of every request and every row: few have any.
        guard contains(UInt8(ascii: "@")) || contains(UInt8(ascii: "%")) else { return Array(self) }
        var shown: [UInt8] = []
        var rest = self
        var isOutermost = true
        while let start = rest.authorityStart(isOutermost: isOutermost) {
            shown += rest[..<start]
            rest = rest[start...].withoutUserInformation(isOutermost: isOutermost)
            isOutermost = false
        }
        return shown + rest
    }

    /// Where what names user, host and port starts; nil when there is no more of it.
    fileprivate func authorityStart(isOutermost: Bool) -> Index? {
        if isOutermost, let start = irregularAuthorityStart { return start }
        for index in indices where self[index] == UInt8(ascii: ":") || self[index] == UInt8(ascii: "%") {
            if let authority = self[index...].behindColonAndSlashes { return authority.startIndex }
        }
        return nil
    }

    /// What follows `://`. Each of them may be percent-encoded: Python's `quote` leaves the slashes, others the colon.
    private var behindColonAndSlashes: Self? {
        behind(":", or: "%3a")?.behind("/", or: "%2f")?.behind("/", or: "%2f")
    }

    /// - Returns: nil when it begins with neither.
    private func behind(_ plain: String, or encoded: String) -> Self? {
        if starts(with: plain.utf8) { return dropFirst() }
        return encoded.utf8.elementsEqual(prefix(3).lowercased) ? dropFirst(3) : nil
    }

    /// libcurl takes one slash, and three, behind these schemes; a reference has none before its two.
    private var irregularAuthorityStart: Index? {
        let scheme = prefix { $0 != UInt8(ascii: ":") && $0 != UInt8(ascii: "/") }
        let isFetched = ["http", "https", "ftp", "ftps"].contains { $0.utf8.elementsEqual(scheme.lowercased) }
        guard
            scheme.isEmpty && starts(with: "//".utf8)
                || isFetched && self[scheme.endIndex...].first == UInt8(ascii: ":")
        else { return nil }
        let rest = scheme.isEmpty ? self : self[scheme.endIndex...].dropFirst()
        return rest.firstIndex { $0 != UInt8(ascii: "/") }
    }

    /// What begins with an authority, without all that stands before its host.
    fileprivate func withoutUserInformation(isOutermost: Bool) -> Self {
        let authority = prefix(upTo: authorityEnd(isOutermost: isOutermost))
        if let end = authority.endOfLastAt(isOutermost: isOutermost) { return self[end...] }
        guard isOutermost, !authority.hasPort, let end = endOfLastAt(isOutermost: true) else { return self }
        return self[end...]
    }

    /// A URL that is another one's parameter ends with that.
    private func authorityEnd(isOutermost: Bool) -> Index {
        let isEnd: (Index) -> Bool = { index in
            guard !isOutermost else { return "/?#".utf8.contains(self[index]) }
            return "/?#&".utf8.contains(self[index])
                || ["%2f", "%3f", "%23", "%26"].contains { $0.utf8.elementsEqual(self[index...].prefix(3).lowercased) }
        }
        return indices.first(where: isEnd) ?? endIndex
    }

    private func endOfLastAt(isOutermost: Bool) -> Index? {
        if let index = lastIndex(of: UInt8(ascii: "@")) { return index + 1 }
        guard !isOutermost else { return nil }
        return indices.last { self[$0...].starts(with: "%40".utf8) }.map { $0 + 3 }
    }

    /// Whether what stands behind the host can be a port, or nothing does.
    private var hasPort: Bool {
        let host = first == UInt8(ascii: "[") ? prefix { $0 != UInt8(ascii: "]") } : prefix { $0 != UInt8(ascii: ":") }
        return self[host.endIndex...].drop { $0 == UInt8(ascii: "]") || $0 == UInt8(ascii: ":") }
            .allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    private var lowercased: [UInt8] { map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 } }
}

extension [UInt8] {
    /// As of a URL, of each word.
    fileprivate var withoutCredentialsInWords: [UInt8] {
        var shown: [UInt8] = []
        for word in split(omittingEmptySubsequences: false, whereSeparator: { $0 <= 0x20 }) {
            shown += word.withoutCredentials
            if word.endIndex < endIndex { shown.append(self[word.endIndex]) }
        }
        return shown
    }
}

/// Parameters of a URL, in its query or its fragment, that seem to grant access with the URL alone: a signature, a
/// token, a password. Their names, as they are spelled there.
public func secretParameters(of url: String) -> [String] {
    guard let start = url.utf8.firstIndex(where: { "?#".utf8.contains($0) }) else { return [] }
    return url.utf8[start...].split { "?#&;".utf8.contains($0) }.compactMap { parameter in
        let parts = parameter.split(separator: UInt8(ascii: "="), maxSplits: 1)
        guard parts.count == 2 else { return nil }
        let name = String(decoding: percentDecoded(Array(parts[0])) ?? Array(parts[0]), as: UTF8.self)
        return isSecret(name) ? name : nil
    }
}

/// Of S3, CloudFront, Google's and Azure's storage, GitLab and others: with or without `-` and `_`, in any case.
private func isSecret(_ name: String) -> Bool {
    let letters = name.lowercased().filter { $0 != "-" && $0 != "_" }
    return [
        "sig", "signature", "awsaccesskeyid", "jwt", "auth", "authorization", "pwd", "passwd", "apikey", "accesskey",
    ]
    .contains(letters)
        || ["token", "secret", "password", "xamzsignature", "xgoogsignature"].contains(where: letters.hasSuffix)
}
