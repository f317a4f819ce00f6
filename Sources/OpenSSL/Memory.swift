import COpenSSL

/// Lends OpenSSL a read-only view of `bytes` for as long as `body` runs.
func withReader<Result>(_ bytes: [UInt8], _ body: (OpaquePointer) throws -> Result) throws -> Result {
    try bytes.withUnsafeBytes { buffer in
        let bio = try require(BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count)), "read from memory")
        defer { BIO_free(bio) }
        return try body(bio)
    }
}

/// What `body` wrote into the BIO that it is lent, as text: PEM is ASCII.
func writtenText(_ body: (OpaquePointer) throws -> Void) throws -> String {
    let bio = try require(BIO_new(BIO_s_mem()), "write to memory")
    defer { BIO_free(bio) }
    try body(bio)
    let bytes = [UInt8](unsafeUninitializedCapacity: BIO_ctrl_pending(bio)) { buffer, count in
        count = max(0, Int(BIO_read(bio, buffer.baseAddress, Int32(buffer.count))))
    }
    return String(decoding: bytes, as: UTF8.self)
}

/// The DER form that one of OpenSSL's `i2d_` functions writes: asked for the size first, then for the bytes.
func encoded(_ operation: String, _ i2d: (UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?) -> Int32) throws
    -> [UInt8]
{
    let size = i2d(nil)
    guard size > 0 else { throw OpenSSLError(operation) }
    return [UInt8](unsafeUninitializedCapacity: Int(size)) { buffer, count in
        var cursor = buffer.baseAddress
        count = Int(i2d(&cursor))
    }
}

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
