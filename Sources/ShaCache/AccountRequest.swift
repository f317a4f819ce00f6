/// A request for an account, as its body has it: a JSON object with `name`, `contact` and `request`.
public struct AccountRequest: Sendable {
    /// That the account is to have.
    public let name: String
    /// Who asks, for the operator: one line.
    public let contact: String
    /// A certificate signing request (PKCS#10) in PEM: not looked at here.
    public let signingRequest: String

    /// Of the body, in bytes: that of a key of 8192 bits, with room for the rest.
    public static let byteLimit = 20_000

    /// The path of all requests; below it each has that of its key's SHA-256, in hex.
    public static let path = "/-/account-request"

    /// - Throws: `Refusal.malformedRequest` when the name can't be an account's, or the contact is not one line.
    public init(name: String, contact: String, signingRequest: String) throws(Refusal) {
        guard isAccountName(name) else {
            throw .malformedRequest(
                "the name takes up to 63 of a-z, 0-9, dot, dash and underscore, and begins with one of the first two")
        }
        guard Reason(contact) != nil else {
            throw .malformedRequest("the contact takes one line of up to \(Reason.lengthLimit) characters")
        }
        (self.name, self.contact, self.signingRequest) = (name, contact, signingRequest)
    }

    /// - Throws: `Refusal.malformedRequest`.
    public init(body: [UInt8]) throws(Refusal) {
        guard body.count <= Self.byteLimit else {
            throw .malformedRequest("a request for an account has at most \(Self.byteLimit) bytes")
        }
        guard let json = try? JSON(body), let name = json["name"]?.string, let contact = json["contact"]?.string,
            let signingRequest = json["request"]?.string
        else { throw .malformedRequest("the body is not a JSON object with the texts name, contact and request") }
        try self.init(name: name, contact: contact, signingRequest: signingRequest)
    }

    public var json: JSON {
        .object(["name": JSON(name), "contact": JSON(contact), "request": JSON(signingRequest)])
    }
}

private func isAccountName(_ text: String) -> Bool { text.wholeMatch(of: /[a-z0-9][a-z0-9._-]{0,62}/) != nil }

/// What an approved request is answered with: a JSON object with these members.
public struct GrantedAccount: Sendable {
    public let name: String
    /// In PEM.
    public let certificate: String
    /// Where nodes download, and builders upload, without a slash at the end; nil when the server doesn't say.
    public let downloadURL, uploadURL: String?

    public init(name: String, certificate: String, downloadURL: String?, uploadURL: String?) {
        (self.name, self.certificate) = (name, certificate)
        (self.downloadURL, self.uploadURL) = (downloadURL, uploadURL)
    }

    /// - Returns: nil when that is no such answer, or has a URL that could not stand in a configuration.
    public init?(body: [UInt8]) {
        guard let json = try? JSON(body), let name = json["account"]?.string, isAccountName(name),
            let certificate = json["certificate"]?.string, let downloadURL = Self.url(json["download-url"]),
            let uploadURL = Self.url(json["upload-url"])
        else { return nil }
        self.init(name: name, certificate: certificate, downloadURL: downloadURL, uploadURL: uploadURL)
    }

    /// - Returns: nil when it is none; nil in it when nothing is said.
    private static func url(_ json: JSON?) -> String?? {
        switch json {
        case nil, .null: return .some(nil)
        case .string(let text):
            let plain = /https?:\/\/[!-~&&[^\/?#]]+(\/[!-~&&[^?#]]*[!-~&&[^\/?#]])?/
            guard let url = text.string, url.wholeMatch(of: plain) != nil else { return nil }
            return url
        default: return nil
        }
    }

    public var json: JSON {
        .object([
            "account": JSON(name), "certificate": JSON(certificate),
            "download-url": downloadURL.map { JSON($0) } ?? .null, "upload-url": uploadURL.map { JSON($0) } ?? .null,
        ])
    }
}
