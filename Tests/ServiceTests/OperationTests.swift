import Fixtures
import Foundation
import ShaCache
import Testing

@testable import Service

struct OperationTests {
    private static let name = String(repeating: "a", count: 128)

    private func route(_ target: String) throws -> Route {
        var request = Request()
        request.target = Array(target.utf8)
        if target == "/-/feed" {
            request.purpose = .feed
        } else if target.hasPrefix("/-/account-request") {
            request.purpose = .accountRequest
        } else if target.hasPrefix("/-/") || target == "/metrics" {
            request.purpose = .health
        }
        return try #require(try request.route())
    }

    @Test(arguments: [
        ("/shacache", "POST, OPTIONS"), ("/shacache/\(name)", "GET, HEAD, PUT, DELETE, OPTIONS"),
        ("/shadir/k", "GET, HEAD, PUT, DELETE, OPTIONS"), ("/-/live", "GET, HEAD"), ("/-/ready", "GET, HEAD"),
        ("/metrics", "GET, HEAD"), ("/-/feed", "GET, HEAD"),
        ("/-/account-request", "POST"), ("/-/account-request/\(name.prefix(64))", "GET, HEAD"),
    ])
    func `each route allows its methods`(_ target: String, _ methods: String) throws {
        #expect(try route(target).allowedMethods == methods)
    }

    @Test func `what is put under a blob's name must be it, and what is posted may be any`() throws {
        let put = try #require(Operation(.put, route("/shacache/\(Self.name)")))
        guard case .upload(.blob(let expected)) = put else {
            _ = Issue.record("\(put)")
            return
        }
        #expect(expected?.description == Self.name)
        let post = try #require(Operation(.post, route("/shacache")))
        guard case .upload(.blob(nil)) = post else {
            _ = Issue.record("\(post)")
            return
        }
    }

    @Test func `a key is listed, put and withdrawn from`() throws {
        let route = try route("/shadir/a/b")
        guard case .listEntries(let listed) = Operation(.head, route),
            case .upload(.entry(let put)) = Operation(.put, route),
            case .withdraw(.entries(let withdrawn)) = Operation(.delete, route)
        else {
            _ = Issue.record("another operation")
            return
        }
        #expect([listed, put, withdrawn].map(\.text) == ["a/b", "a/b", "a/b"])
    }
}

struct NginxAnswersTests {
    /// nginx can't answer with a status out of a variable. One that is missing there would become a 503.
    /// Of these three, one is for downloads, one for lists, and one for requests for accounts.
    @Test(
        arguments: Status.allCases.filter {
            $0.isError && ![.conflict, .preconditionFailed, .tooManyRequests].contains($0)
        })
    func `nginx passes on every status by which an upload is refused before its body`(_ status: Status) throws {
        let snippet = try String(contentsOfFile: "\(repository)/nginx/uploads.conf", encoding: .utf8)
        let number = status.rawValue
        #expect(
            snippet.contains(
                "if ($shacache_refusal_status = \(number)) { return \(number) \"$shacache_refusal\\n\"; }"))
    }
}
