/// How many there are, for messages: `1 entry`, `2 entries`.
///
/// - Parameter several: the noun for any other number than one; nil adds an s.
public func counted(_ count: Int, _ one: String, _ several: String? = nil) -> String {
    "\(count) \(count == 1 ? one : several ?? "\(one)s")"
}
