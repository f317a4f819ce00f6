import Fixtures
import Foundation
import OpenSSL
import ShaCache
import System
import Testing

@testable import Storage

struct LocalBlobsTests {
    private let directory: TemporaryDirectory
    private let store: LocalBlobs

    init() throws {
        directory = try TemporaryDirectory()
        store = LocalBlobs(directory: directory.path)
        try store.prepare()
    }

    /// As nginx and a worker do it together.
    private func upload(_ body: [UInt8]) throws -> Digest {
        let path = try store.spool(body, in: directory)
        defer { unlink(path) }
        let file = try SpooledBody(named: path, in: store)
        let digest = try file.digest()
        try file.seal(file.size())
        try store.linkDurably(file.descriptor, as: digest)
        return digest
    }

    /// Fails when LocalBlobs.link goes by the name: after nginx was killed, the next one may use it for another body.
    @Test func `what was hashed is published, whatever has its name by then`() throws {
        let path = try store.spool(Array("bytes".utf8), in: directory)
        let file = try SpooledBody(named: path, in: store)
        let digest = try file.digest()
        try file.seal(file.size())
        try FileManager.default.moveItem(atPath: path, toPath: path + ".old")
        try Data("other".utf8).write(to: URL(filePath: path))
        try store.linkDurably(file.descriptor, as: digest)
        #expect(try String(contentsOfFile: self.path(digest), encoding: .utf8) == "bytes")
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "other")
    }

    /// Fails without `requireSynchronized` in LocalBlobs.synchronize: the second one succeeds, as it does for pages that
    /// Linux has dropped.
    @Test func `no fsync counts after another one has failed`() throws {
        try store.synchronize(try Descriptor(directory.path))
        // It can't be synchronized (fsync(2), EINVAL).
        #expect(throws: StoreError.self) { try store.synchronize(try Descriptor("/dev/null")) }
        #expect(store.isReadOnly)
        #expect(throws: StoreError.self) { try store.synchronize(try Descriptor(directory.path)) }
    }

    private func path(_ digest: Digest) -> String {
        "\(directory.path)/blobs/\(digest.description.prefix(2))/\(digest)"
    }

    private var spooled: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: "\(directory.path)/incoming/\(store.host)") }
    }

    @Test(arguments: [0, 1, 1 << 20, 3 << 20 + 1])
    func `what was published is there, under the hash of its bytes`(_ size: Int) throws {
        let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let digest = try upload(body)
        #expect(digest.bytes == Hash.digest(.sha512, of: body))
        #expect(try Data(contentsOf: URL(filePath: path(digest))) == Data(body))
        #expect(try store.presence(of: digest) == .intact)
        #expect(try spooled.isEmpty)
    }

    @Test func `what nobody published is absent`() throws {
        #expect(try store.presence(of: Digest(bytes: Hash.digest(.sha512, of: [1]))) == .absent)
    }

    /// Fails without the comparison in LocalBlobs.presence(of:).
    @Test(arguments: [0, 4, 6])
    func `a file of another size than it was stored with is damaged, and heals`(_ size: off_t) throws {
        let digest = try upload(Array("bytes".utf8))
        #expect(truncate(path(digest), size) == 0)
        #expect(try store.presence(of: digest) == .damaged("has \(size) bytes, and was stored with 5"))
        #expect(try upload(Array("bytes".utf8)) == digest)
        #expect(try store.presence(of: digest) == .intact)
        #expect(try String(contentsOfFile: path(digest), encoding: .utf8) == "bytes")
    }

    /// Fails when LocalBlobs.link keeps a file that has the name already.
    @Test func `a flipped bit heals with the next upload`() throws {
        let digest = try upload(Array("bytes".utf8))
        try #require(chmod(path(digest), 0o640) == 0)
        let file = try #require(FileHandle(forWritingAtPath: path(digest)))
        try file.write(contentsOf: Data("Bytes".utf8))
        try file.close()
        _ = try upload(Array("bytes".utf8))
        #expect(try String(contentsOfFile: path(digest), encoding: .utf8) == "bytes")
    }

    @Test func `a file without its attribute is unconfirmed until somebody vouches for its size`() throws {
        let digest = try upload(Array("bytes".utf8))
        _ = try output(of: "setfattr", "-x", "user.shacache.size", path(digest))
        #expect(try store.presence(of: digest) == .unconfirmed(size: 5))
        #expect(try store.confirmSize(of: digest, size: 5, stored: 6) == .damaged("has 5 bytes, and was stored with 6"))
        #expect(try store.presence(of: digest) == .unconfirmed(size: 5))
        #expect(try store.confirmSize(of: digest, size: 5, stored: 5) == .intact)
        #expect(try store.presence(of: digest) == .intact)
    }

    /// Fails when LocalBlobs.confirmSize goes by the size alone.
    @Test func `a file that comes back with other bytes is damaged, and heals`() throws {
        let digest = try upload(Array("bytes".utf8))
        try FileManager.default.removeItem(atPath: path(digest))
        try Data("Bytes".utf8).write(to: URL(filePath: path(digest)))
        #expect(try store.presence(of: digest) == .unconfirmed(size: 5))
        #expect(
            try store.confirmSize(of: digest, size: 5, stored: 5) == .damaged("has other bytes than its name says"))
        #expect(try store.presence(of: digest) == .unconfirmed(size: 5))
        _ = try upload(Array("bytes".utf8))
        #expect(try store.presence(of: digest) == .intact)
    }

    /// Fails without the guard in SpooledBody.seal: what came after the hash would be published with it.
    @Test func `a body that grows after it was hashed is not sealed`() throws {
        let file = try SpooledBody(named: store.spool(Array("bytes".utf8), in: directory), in: store)
        #expect(throws: StoreError.self) { try file.seal(4) }
    }

    enum Obstacle: CaseIterable {
        case directory, pipe, danglingLink, loop, shelfGone

        func put(at path: String) throws {
            try FileManager.default.removeItem(atPath: path)
            let shelf = URL(filePath: path).deletingLastPathComponent().path
            switch self {
            case .directory: try #require(mkdir(path, 0o755) == 0)
            case .pipe: try #require(mkfifo(path, 0o644) == 0)
            case .danglingLink: try #require(symlink("/nowhere", path) == 0)
            case .loop: try #require(symlink(path, path) == 0)
            case .shelfGone: try #require(rmdir(shelf) == 0)
            }
        }
    }

    /// Fails without the errors that LocalBlobs.presence takes for damage, or without LocalBlobs.replace.
    @Test(.timeLimit(.minutes(15)), arguments: Obstacle.allCases)
    func `what stands in a blob's place is no blob, and makes way for the next upload`(_ obstacle: Obstacle) throws {
        let digest = try upload(Array("bytes".utf8))
        try obstacle.put(at: path(digest))
        switch try store.presence(of: digest) {
        case .absent: #expect(obstacle == .shelfGone)
        case .damaged: #expect(obstacle != .shelfGone)
        default: Issue.record("it is there")
        }
        _ = try upload(Array("bytes".utf8))
        #expect(try store.presence(of: digest) == .intact)
    }

    /// Fails without O_NOFOLLOW.
    @Test func `a symbolic link is no blob`() throws {
        let digest = try upload(Array("bytes".utf8))
        try FileManager.default.moveItem(atPath: path(digest), toPath: "\(directory.path)/elsewhere")
        try FileManager.default.createSymbolicLink(
            atPath: path(digest), withDestinationPath: "\(directory.path)/elsewhere")
        #expect(try store.presence(of: digest) == .damaged("can't be opened: too many levels of symbolic links"))
    }

    @Test func `a body outside the spool can't be named`() throws {
        let outside = "\(directory.path)/secret"
        try Data("secret".utf8).write(to: URL(filePath: outside))
        for name in [outside, "../secret", "\(directory.path)/incoming/../secret"] {
            #expect(throws: StoreError.self) { _ = try SpooledBody(named: name, in: store) }
        }
    }

    /// Fails when the sweep goes by age alone.
    @Test func `the sweep removes what nobody has open, and nothing else`() throws {
        _ = try store.spool([1], in: directory)
        let open = try store.spool([2], in: directory)
        let nginx = try #require(FileHandle(forWritingAtPath: open))
        #expect(try store.sweep() == 1)
        #expect(try spooled == [URL(filePath: open).lastPathComponent])
        try nginx.close()
        #expect(try store.sweep() == 1)
        #expect(try spooled.isEmpty)
    }

    @Test func `more bytes than the disk has are not admitted`() throws {
        try store.admit(bytes: 1)
        #expect { try store.admit(bytes: .max / 2) } throws: { ($0 as? StoreError)?.condition == .noSpace }
    }

    @Test func `the probe leaves nothing behind`() throws {
        try store.probe()
        #expect(try spooled.isEmpty)
    }

    /// Fails without the look at the shelves in LocalBlobs.probe().
    @Test func `the probe fails, and says where, when a shelf is gone`() throws {
        try #require(rmdir("\(directory.path)/blobs/7f") == 0)
        #expect { try store.probe() } throws: { "\($0)" == "use blobs/7f: no such file or directory" }
    }

    @Test func `preparing twice is as good as once`() throws {
        let digest = try upload([7])
        try store.prepare()
        #expect(try store.presence(of: digest) == .intact)
    }
}
