import ArgumentParser
import Configuration
import FastCGI
import Foundation
import Logging
import OpenSSL
import Pages
import Postgres
import Serving
import Storage
import System

@main
struct ShacachePage: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shacache-page",
        abstract: "Answers nginx's FastCGI requests for the page of a ShaCache server.",
        discussion: """
            It listens on one socket that it is handed as systemd hands it, named `page` (LISTEN_FDNAMES). It reads the \
            database as the role shacache_page and touches neither the store nor uploads and downloads. SIGTERM and \
            SIGINT let it finish what it has begun and exit with 0. It logs to stderr, one JSON object a line.
            """,
        version: Configuration.version)

    @Option(help: "The configuration file; /usr/share/shacache/shacache.toml explains every option.")
    var config = "/etc/shacache/shacache.toml"

    @Option(help: "The directory of the page's templates and its style.")
    var templates = "/usr/share/shacache/page"

    static func main() { main(Array(processArguments.dropFirst())) }

    func run() throws {
        do {
            try Hash.Algorithm.requireSHA2()
            try serve(Configuration(file: config), Templates(directory: templates))
        } catch {
            try? FileHandle.standardError.write(contentsOf: Data("\(error)".said(by: "shacache-page").utf8))
            throw ExitCode.failure
        }
    }

    /// Visitors are few; more threads would only put more load on the database at once.
    private static let threads = 4

    private func serve(_ configuration: Configuration, _ templates: Templates) throws {
        let process = ServerProcess("shacache-page", logLevel: configuration.log.level)
        let log = process.log
        let listener = try Sockets.inherited().named("page")
        let threads = ThreadPool()
        // While the database hangs, one is left that answers 503 at once. What is slow doesn't hang: the server ends it
        // itself.
        let bulkhead = DatabaseBulkhead(
            maximumWaiting: Self.threads - 1, stallTimeout: .seconds(configuration.pageDatabase.statementTimeLimit + 1))
        let statistics = HomeStatisticsCache()
        threads.start(Self.threads, on: listener) {
            let pages = Pages(
                session: Session(configuration.pageDatabase, bulkhead: bulkhead), site: configuration.site,
                takesAccountRequests: configuration.accountRequests.isEnabled, upstreams: configuration.upstreams,
                templates: templates, statistics: statistics)
            return { request in answer(request, pages, log) }
        }
        try process.serve(with: threads)
    }
}

private func answer(_ request: borrowing FastCGIRequest, _ pages: Pages, _ log: Logger) -> () -> Void {
    let asked = PageRequest(request)
    let answer = pages.answer(asked)
    request.send(
        status: "\(answer.status.rawValue) \(answer.status.reasonPhrase)", headers: answer.headers, body: answer.body)
    return {
        guard let cause = answer.cause else { return }
        log.error(
            "failed",
            metadata: [
                "request_id": "\(asked.requestID)", "status": .stringConvertible(answer.status.rawValue),
                "cause": "\(cause)",
            ])
    }
}

extension PageRequest {
    /// Every parameter that `page.conf` sets, and no other.
    fileprivate init(_ source: borrowing FastCGIRequest) {
        self.init()
        target = source.bytes("REQUEST_URI")
        host = source.text("HOST")
        isSecure = source.text("HTTPS") == "on"
        certificateVerification = source.text("CERTIFICATE_VERIFICATION")
        certificate = source.bytes("CERTIFICATE")
        requestID = source.text("REQUEST_ID")
    }
}
