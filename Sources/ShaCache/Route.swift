/// What a request's path names.
public enum Route: Sendable {
    /// All blobs: the place to which a body is posted.
    case blobs
    case blob(Digest)
    case entries(Key)
    /// Where lists ask what is there (`ExistenceList`).
    ///
    /// - Parameter prefix: of the paths by which a GET would ask for the same.
    case existence(prefix: [UInt8])
    case live
    case ready(uploads: Bool)
    case metrics
    /// What was accepted and hidden, for those who keep a copy.
    case feed
    /// Where those who have no account ask for one.
    case accountRequests
    /// What became of such a request.
    ///
    /// - Parameter key: the SHA-256 of the public key that it is for.
    case accountRequest(key: [UInt8])

    /// Of what clients upload and download: the same for the worker, which answers, and for the access log's reader.
    ///
    /// - Parameter target: as the client sent it, not normalised.
    /// - Returns: nil when it names nothing.
    public static func find(_ target: [UInt8], below mount: Mount) throws(Refusal) -> Route? {
        try find(try path(of: target), below: mount)
    }

    /// Of health checks and metrics.
    ///
    /// - Returns: nil when it names nothing.
    public static func findHealth(_ target: [UInt8]) throws(Refusal) -> Route? { health(try path(of: target)) }

    /// Of the feed.
    ///
    /// - Returns: nil when it names nothing.
    public static func findFeed(_ target: [UInt8]) throws(Refusal) -> Route? {
        try path(of: target).elementsEqual("/-/feed".utf8) ? .feed : nil
    }

    /// Of requests for accounts.
    ///
    /// - Returns: nil when it names nothing.
    public static func findAccountRequest(_ target: [UInt8]) throws(Refusal) -> Route? {
        let path = try path(of: target)
        let root = AccountRequest.path.utf8
        guard path.count > root.count else { return path.elementsEqual(root) ? .accountRequests : nil }
        let digits = Array(path.dropFirst(root.count + 1))
        guard path.starts(with: "\(AccountRequest.path)/".utf8), digits.count == 64 else { return nil }
        return decodedHex(digits).map { .accountRequest(key: $0) }
    }

    /// Of lists that ask what is there: beside the mounts, too, and below the directory's, where the same path names a
    /// key for all other methods.
    ///
    /// - Returns: nil when it names nothing.
    public static func findExistence(_ target: [UInt8], below mount: Mount) throws(Refusal) -> Route? {
        let mounts = mount == .shadir ? ["/"] : ["/", "/shacache/", "/shacache/cache/", "/shacache/dir/", "/shadir/"]
        return existence(try path(of: target), below: mounts)
    }

    private static func existence(_ path: ArraySlice<UInt8>, below mounts: [String]) -> Route? {
        let prefix = mounts.first { path.elementsEqual("\($0)\(ExistenceList.name)".utf8) }
        return prefix.map { .existence(prefix: Array($0.utf8)) }
    }

    private static func path(of target: [UInt8]) throws(Refusal) -> ArraySlice<UInt8> {
        let path = target.prefix { $0 != UInt8(ascii: "?") }
        guard path.first == UInt8(ascii: "/"), !path.contains(UInt8(ascii: "#")) else {
            throw .malformedRequest("the request's target is not a path")
        }
        return path
    }

    private static func find(_ path: ArraySlice<UInt8>, below mount: Mount) throws(Refusal) -> Route? {
        if mount != .shadir, let route = existence(path, below: ["/", "/shacache/", "/shacache/cache/"]) {
            return route
        }
        switch mount {
        case .prefixes: return try underPrefix(path)
        // A blob's name can't be mistaken for a prefix, so this host offers both: shacache.example.org/shadir/… is in
        // use.
        case .shacache:
            if let route = blob(path.dropFirst()) { return route }
            return try underPrefix(path)
        case .shadir: return .entries(try Key(percentEncoded: Array(path.dropFirst())))
        }
    }

    private static func health(_ path: ArraySlice<UInt8>) -> Route? {
        if path.elementsEqual("/-/live".utf8) { return .live }
        if path.elementsEqual("/metrics".utf8) { return .metrics }
        if path.elementsEqual("/-/ready/lookups".utf8) { return .ready(uploads: false) }
        return path.elementsEqual("/-/ready".utf8) ? .ready(uploads: true) : nil
    }

    private static func underPrefix(_ path: ArraySlice<UInt8>) throws(Refusal) -> Route? {
        if let rest = path.under("/shacache/dir") { return .entries(try Key(percentEncoded: Array(rest))) }
        if let rest = path.under("/shadir") { return .entries(try Key(percentEncoded: Array(rest))) }
        if let rest = path.under("/shacache/cache") ?? path.under("/shacache") { return blob(rest) }
        return nil
    }

    /// - Parameter name: what stands after the mount's slash.
    private static func blob(_ name: ArraySlice<UInt8>) -> Route? {
        guard !name.isEmpty else { return .blobs }
        return percentDecoded(Array(name)).flatMap { Digest(hex: $0) }.map { .blob($0) }
    }
}

extension ArraySlice<UInt8> {
    /// What stands after `prefix` and a slash; nothing when the path is the prefix itself.
    fileprivate func under(_ prefix: String) -> ArraySlice<UInt8>? {
        guard starts(with: prefix.utf8) else { return nil }
        let rest = dropFirst(prefix.utf8.count)
        guard let slash = rest.first else { return rest }
        return slash == UInt8(ascii: "/") ? rest.dropFirst() : nil
    }
}

/// What the root of a virtual host stands for.
public enum Mount: String, Sendable {
    /// `/shacache` and `/shadir`, and slapproxy's `/shacache/cache` and `/shacache/dir`.
    case prefixes = ""
    case shacache, shadir
}
