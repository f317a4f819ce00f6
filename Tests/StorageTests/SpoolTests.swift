import Fixtures
import Foundation
import ShaCache
import Testing

@testable import Storage

/// Hosts that share a store.
struct SpoolTests {
    private let directory: TemporaryDirectory
    private let (here, there): (LocalBlobs, LocalBlobs)

    init() throws {
        directory = try TemporaryDirectory()
        (here, there) = (
            LocalBlobs(directory: directory.path, host: "here"), LocalBlobs(directory: directory.path, host: "there")
        )
        for store in [here, there] { try store.prepare() }
    }

    private func age(_ path: String, hours: Int) throws {
        let time = timeval(tv_sec: time(nil) - hours * 3600, tv_usec: 0)
        try #require(utimes(path, [time, time]) == 0)
    }

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// Fails when LocalBlobs.sweep asks this host's kernel who has another host's files open: on a file system in user
    /// space, and over the network, it knows nothing of them.
    @Test func `the sweep leaves alone what another host receives`() throws {
        let own = try here.spool([1], in: directory)
        let others = try here.spool([2], in: directory, of: "there")
        #expect(try here.sweep() == 1)
        #expect(!exists(own) && exists(others))
        #expect(try there.sweep() == 1)
        #expect(!exists(others))
    }

    /// Fails without the other spools in LocalBlobs.sweep: what a host leaves that is gone for good would stay for ever,
    /// and so would what lies where all hosts' bodies once lay.
    @Test(arguments: ["gone", "."])
    func `the sweep removes what is old elsewhere`(_ host: String) throws {
        let spool = "\(directory.path)/incoming/\(host)"
        if host != "." { try #require(mkdir(spool, 0o750) == 0) }
        let (old, young) = (try here.spool([1], in: directory, of: host), try here.spool([2], in: directory, of: host))
        try age(old, hours: 25)
        try age(young, hours: 23)
        #expect(try here.sweep() == 1)
        #expect(!exists(old) && exists(young))
        #expect(exists(spool), "nginx would not make it again before it is started")
    }

    /// Fails when SpooledBody takes this host's spool for the only one: an upgrade leaves the site as it is, and in
    /// containers nginx's host may be called otherwise.
    @Test(arguments: ["here", "there", "."])
    func `a body is taken from where nginx has put it`(_ host: String) throws {
        let path = try here.spool(Array("bytes".utf8), in: directory, of: host).replacing("/./", with: "/")
        let file = try SpooledBody(named: path, in: here)
        let digest = try file.digest()
        try file.seal(file.size())
        try here.linkDurably(file.descriptor, as: digest)
        #expect(try there.presence(of: digest) == .intact)
    }

    /// As nginx names it through a link to the store, say.
    @Test func `a spool is known by its host when the store has another name`() throws {
        #expect(here.place(ofBody: "/data/incoming/here/01") == "\(directory.path)/incoming/here/01")
        #expect(here.place(ofBody: "/data/incoming/there/01") == "\(directory.path)/incoming/there/01")
        #expect(here.place(ofBody: "/data/incoming/01") == "\(directory.path)/incoming/01")
        #expect(here.place(ofBody: "\(directory.path)/incoming/../01") == "\(directory.path)/incoming/01")
    }

    @Test func `the bodies of all hosts are counted`() throws {
        for host in ["here", "there", "."] { _ = try here.spool([1, 2], in: directory, of: host) }
        let spooled = try there.spooled()
        #expect(spooled.files == 3 && spooled.bytes == 6)
    }
}
