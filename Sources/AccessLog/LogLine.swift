import CLinux
import Foundation
import Glibc
import ShaCache
import Storage

/// One line of nginx's access log, as `nginx/log.conf` writes it.
struct LogLine {
    /// In UTC, `2026-01-31`.
    let day: String
    private let method: String
    private let status: Int
    /// The body, in bytes that the kernel took.
    private let sent: Int
    private let isComplete: Bool
    private let target: [UInt8]
    private let mount: Mount

    /// - Returns: nil when it is none of ours.
    init?(_ line: [UInt8]) {
        guard let json = try? JSON(line), Self.requestID(of: json) != nil,
            let day = json["time"]?.string.flatMap(utcDay),
            let method = json["method"]?.string, let target = json["uri"]?.string,
            let status = json["status"]?.string.flatMap({ Int($0) }),
            let sent = json["sent"]?.string.flatMap({ Int($0) }), sent >= 0,
            let mount = json["mount"]?.string.flatMap(Mount.init(rawValue:)),
            let completion = json["complete"]?.string
        else { return nil }
        self.day = day
        self.method = method
        self.status = status
        self.sent = sent
        isComplete = completion == "OK"
        self.target = Array(target.utf8)
        self.mount = mount
    }

    /// What nginx calls the request; nil when the line has none.
    static func requestID(of line: [UInt8]) -> String? { (try? JSON(line)).flatMap(requestID) }

    private static func requestID(of json: JSON) -> String? {
        json["request_id"]?.string.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Adds it, when it is a download of a blob or a key, or a question whether one is there.
    ///
    /// - Parameter bufferSize: in bytes; see `SocketBuffer`.
    func count(in sums: inout DownloadSums, bufferSize: Int) {
        guard method == "GET" || isQuestion else { return }
        switch try? Route.find(target, below: mount) {
        case .blob(let digest):
            if let count = download(bufferSize: bufferSize) { sums.countBlob(count, of: digest, on: day) }
        case .entries(let key):
            if let count = lookup { sums.countKey(count, of: key, on: day) }
        case .blobs, .existence, .live, .ready, .metrics, .feed, .accountRequests, .accountRequest, nil: return
        }
    }

    /// Whether its answer has no body though it is there: to HEAD, or to whoever has the same already.
    private var isQuestion: Bool { method == "HEAD" && status == 200 || method == "GET" && status == 304 }

    private func download(bufferSize: Int) -> DownloadSums.Count? {
        if isQuestion { return DownloadSums.Count(probes: 1) }
        return switch status {
        case 200 where isComplete: DownloadSums.Count(whole: 1, bytes: sent)
        // It got no further than the buffers: little of it can have been read. The deployed clients ask so whether we
        // have a blob that they are about to upload.
        case 200 where sent <= bufferSize: DownloadSums.Count(probes: 1)
        case 200, 206: DownloadSums.Count(partial: 1, bytes: sent)
        case 404: DownloadSums.Count(notFound: 1)
        default: nil
        }
    }

    private var lookup: DownloadSums.Count? {
        switch status {
        case _ where isQuestion: DownloadSums.Count(whole: 1)
        case 200: DownloadSums.Count(whole: 1, bytes: sent)
        case 404: DownloadSums.Count(notFound: 1)
        default: nil
        }
    }
}

/// The day in UTC, `2026-01-31`, of a time as nginx's `$time_iso8601` has it, in whatever zone.
func utcDay(_ text: String) -> String? {
    var time = tm()
    let isWhole = text.withCString { strptime($0, "%Y-%m-%dT%H:%M:%S%z", &time)?.pointee == 0 }
    guard isWhole else { return nil }
    // timegm takes it for UTC, whatever zone it names.
    let zone = time.tm_gmtoff
    var seconds = timegm(&time) - zone
    gmtime_r(&seconds, &time)
    // A damaged line may hold anything; the database doesn't take every year.
    guard (100..<8000).contains(time.tm_year) else { return nil }
    let (year, month, day) = (time.tm_year + 1900, time.tm_mon + 1, time.tm_mday)
    return "\(year)-\(month < 10 ? "0" : "")\(month)-\(day < 10 ? "0" : "")\(day)"
}

/// What the kernels keep of a connection's data until its client takes it. nginx counts that as sent.
enum SocketBuffer {
    /// In bytes: the most that Linux lets our side of a connection grow to, and what the client's side takes before anybody
    /// has read there (tcp(7): tcp_wmem and tcp_rmem), by the figures of this machine.
    static var size: Int {
        limits(of: "tcp_wmem", orElse: [4096, 16384, 4 << 20])[2]
            + limits(of: "tcp_rmem", orElse: [4096, 131_072, 6 << 20])[1]
    }

    /// The least, the first and the most; Linux's own where they can't be asked.
    private static func limits(of name: String, orElse usual: [Int]) -> [Int] {
        let text = try? String(contentsOfFile: "/proc/sys/net/ipv4/\(name)", encoding: .utf8)
        let limits = text?.split(whereSeparator: \.isWhitespace).compactMap { Int($0) } ?? []
        return limits.count == 3 ? limits : usual
    }
}
