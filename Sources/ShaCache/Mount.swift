/// What the root of a virtual host stands for.
public enum Mount: String, Sendable {
    /// `/shacache` and `/shadir`, and slapproxy's `/shacache/cache` and `/shacache/dir`.
    case prefixes = ""
    case shacache, shadir
}
