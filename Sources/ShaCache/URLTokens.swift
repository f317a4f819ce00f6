/// Parameters of a URL, in its query or its fragment, that seem to grant access with the URL alone: a signature, a token,
/// a password. Their names, as they are spelled there.
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
