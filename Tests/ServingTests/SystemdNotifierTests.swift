import Fixtures
import Glibc
import System
import Testing

@testable import Serving

@Suite(.timeLimit(.minutes(15))) struct SystemdNotifierTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// What a socket of that name gets of the notices that are told there.
    private func heard(at name: String, _ notices: [SystemdNotifier.Notice]) throws -> [String] {
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(socket) }
        try #require(withSocketAddress(of: name) { bind(socket, $0, $1) } == 0)
        let systemd = SystemdNotifier(environment: ["NOTIFY_SOCKET": name])
        for notice in notices { systemd.tell(notice) }
        return notices.map { _ in
            var bytes = [UInt8](repeating: 0, count: 100)
            let count = recv(socket, &bytes, bytes.count, 0)
            return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
        }
    }

    @Test func `a socket in a directory hears each notice`() throws {
        #expect(try heard(at: "\(directory.path)/notify", [.ready, .alive]) == ["READY=1", "WATCHDOG=1"])
    }

    /// Fails when the zero bytes behind the name count as part of it.
    @Test func `a socket with a name in no directory hears them as well`() throws {
        #expect(try heard(at: "@shacache-\(directory.path.suffix(20))", [.stopping]) == ["STOPPING=1"])
    }

    @Test func `without a socket, or with one that nobody has, nothing happens`() {
        SystemdNotifier(environment: [:]).tell(.ready)
        SystemdNotifier(environment: ["NOTIFY_SOCKET": "\(directory.path)/none"]).tell(.ready)
    }

    @Test func `a watchdog's time is that of the process which it is meant for`() {
        let time = ["WATCHDOG_USEC": "30000000"]
        #expect(SystemdNotifier(environment: [:]).watchdogTimeout == nil)
        #expect(SystemdNotifier(environment: time).watchdogTimeout == .seconds(30))
        for (process, isMeant) in [("\(getpid())", true), ("1", false)] {
            let environment = time.merging(["WATCHDOG_PID": process]) { $1 }
            #expect((SystemdNotifier(environment: environment).watchdogTimeout != nil) == isMeant)
        }
    }
}
