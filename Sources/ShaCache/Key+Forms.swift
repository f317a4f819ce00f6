public import OpenSSL

/// The keys that the deployed clients make of what they look for. Those with an MD5 can be made unless OpenSSL was built
/// without it.
extension Key {
    /// Of a source archive, by the URL of its origin.
    public static func source(url: String) throws(OpenSSLError) -> Key {
        Key(known: "file-urlmd5:\(try md5(url))")
    }

    /// Of the same, as buildouts made it before they had `source`.
    public static func olderSource(url: String) throws(OpenSSLError) -> Key {
        Key(known: "\(url.contains("pypi") ? "pypi" : "slapos")-buildout-\(try md5(url))")
    }

    /// Of a Python distribution.
    public static func python(name: String, version: String) throws(Refusal) -> Key {
        try Key("pypi:\(name)=\(version)")
    }

    /// Of a compiled software release, by the URL of its profile; its directory on a node has the same name.
    public static func softwareRelease(url: String) throws(OpenSSLError) -> Key { Key(known: try md5(url)) }

    private static func md5(_ text: String) throws(OpenSSLError) -> String {
        try Hash.Algorithm.md5.require()
        return hex(Hash.digest(.md5, of: text.utf8))
    }

    /// As it stands in a request's path. Only what would end the path or can't be in it is escaped: some servers of
    /// the protocol take the rest as it comes, which is how the deployed clients send it.
    public var percentEncoded: String {
        var encoded: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0...0x20, 0x7F..., UInt8(ascii: "%"), UInt8(ascii: "?"), UInt8(ascii: "#"):
                encoded += Array("%\(hex([byte]).uppercased())".utf8)
            default:
                encoded.append(byte)
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}
