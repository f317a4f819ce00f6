/// Why the cache didn't do what it was asked to.
public enum CacheFailure: Error, CustomStringConvertible {
    /// It can't be reached.
    case unreachable(String)
    /// It is in no state to answer this.
    case troubled(String)
    /// It answered, and said no.
    case refused(String, status: Int)
    /// What it answered is against the protocol.
    case malformed(String)
    /// The blob or the key isn't there.
    case missing(String)
    /// It is there, and no trusted certificate vouches for it, or its bytes are others than its name says.
    case untrusted(String)
    /// What came of it is of no use: an archive that isn't safe, a file that changed while it was sent.
    case broken(String)

    public var description: String {
        switch self {
        case .unreachable(let text), .troubled(let text), .refused(let text, _), .malformed(let text),
            .missing(let text),
            .untrusted(let text),
            .broken(let text):
            text
        }
    }
}
