import ShaCache

/// A method of HTTP that something here allows, in the order in which the header Allow lists them.
enum RequestMethod: String, CaseIterable {
    case get = "GET"
    case head = "HEAD"
    case post = "POST"
    case put = "PUT"
    case delete = "DELETE"
    case options = "OPTIONS"
}

/// What a request asks for: its method and its route, looked at once.
enum Operation {
    case downloadBlob(Digest)
    case listEntries(Key)
    case upload(Upload)
    case withdraw(Withdrawn)
    /// - Parameter prefix: of the paths by which a GET would ask for the same.
    case findExisting(prefix: [UInt8])
    case listMethods
    case checkLiveness
    case checkReadiness(uploads: Bool)
    case showMetrics

    enum Upload {
        /// - Parameter expected: the name that the request gives it.
        case blob(expected: Digest?)
        case entry(Key)
    }

    /// What is withdrawn.
    enum Withdrawn {
        case blob(Digest)
        /// All of a key's entries, or those that the request's query chooses.
        case entries(Key)
    }

    /// - Returns: nil when that method isn't possible there.
    init?(_ method: RequestMethod, _ route: Route) {
        switch (method, route) {
        case (.get, .blob(let digest)), (.head, .blob(let digest)): self = .downloadBlob(digest)
        case (.get, .entries(let key)), (.head, .entries(let key)): self = .listEntries(key)
        case (.post, .blobs): self = .upload(.blob(expected: nil))
        case (.put, .blob(let digest)): self = .upload(.blob(expected: digest))
        case (.put, .entries(let key)): self = .upload(.entry(key))
        case (.delete, .blob(let digest)): self = .withdraw(.blob(digest))
        case (.delete, .entries(let key)): self = .withdraw(.entries(key))
        case (.post, .existence(let prefix)): self = .findExisting(prefix: prefix)
        case (.options, .blobs), (.options, .blob), (.options, .entries), (.options, .existence): self = .listMethods
        case (.get, .live), (.head, .live): self = .checkLiveness
        case (.get, .ready(let uploads)), (.head, .ready(let uploads)): self = .checkReadiness(uploads: uploads)
        case (.get, .metrics), (.head, .metrics): self = .showMetrics
        default: return nil
        }
    }
}

extension Route {
    /// For the header Allow.
    var allowedMethods: String {
        RequestMethod.allCases.filter { Operation($0, self) != nil }.map(\.rawValue).joined(separator: ", ")
    }
}
