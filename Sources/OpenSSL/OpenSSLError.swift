import COpenSSL

/// What OpenSSL could not do, with the errors that it queued on this thread.
public struct OpenSSLError: Error, CustomStringConvertible {
    public let operation: String
    public let reasons: [String]

    /// Takes the errors off this thread's queue: a later failure must not be explained by an earlier one.
    init(_ operation: String) {
        self.operation = operation
        var reasons: [String] = []
        while case let code = ERR_get_error(), code != 0 {
            reasons.append(
                withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
                    ERR_error_string_n(code, text.baseAddress, text.count)
                    return String(cString: text.baseAddress!)
                })
        }
        self.reasons = reasons
    }

    public var description: String {
        reasons.isEmpty ? operation : "\(operation): \(reasons.joined(separator: "; "))"
    }
}

/// Passes a handle on, or explains why OpenSSL gave none.
func require<Handle>(_ handle: Handle?, _ operation: String) throws(OpenSSLError) -> Handle {
    guard let handle else { throw OpenSSLError(operation) }
    return handle
}

/// OpenSSL's functions answer 1 for success, and 0 or less for failure.
func check(_ result: Int32, _ operation: String) throws(OpenSSLError) {
    guard result == 1 else { throw OpenSSLError(operation) }
}
