import Foundation
public import ShaCache
public import Storage

/// A store that goes away with its owner.
public struct TestStore: Sendable {
    public let directory: TemporaryDirectory
    public let files: LocalBlobs

    public init() throws {
        directory = try TemporaryDirectory()
        files = LocalBlobs(directory: directory.path)
        try files.prepare()
    }

    public func path(of digest: Digest) -> String { "\(directory.path)/blobs/\(LocalBlobs.place(of: digest))" }
}

extension LocalBlobs {
    /// What nginx leaves in the spool for a body, and passes on by name.
    ///
    /// - Parameter host: whose spool it is; nil is this one.
    public func spool(_ body: [UInt8], in directory: TemporaryDirectory, of host: String? = nil) throws -> String {
        let path = "\(directory.path)/incoming/\(host ?? self.host)/\(UUID().uuidString)"
        try Data(body).write(to: URL(filePath: path))
        return path
    }
}

extension UploadRecord {
    /// By an account, as the service would fill it in.
    public static func of(_ account: Account, target: UploadTarget = .blob) -> UploadRecord {
        var record = UploadRecord(target: target, clientAddress: "127.0.0.1", requestID: "test", start: .now)
        record.account = account
        return record
    }
}
