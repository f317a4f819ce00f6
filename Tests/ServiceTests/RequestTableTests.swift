import Fixtures
import Foundation
import Metrics
import OpenSSL
import Service
import ShaCache
import Storage
import Testing

struct RequestTableTests {
    private let directory: TemporaryDirectory
    private let store: LocalBlobs
    private let service: Service
    private let table: RequestTable
    private let blob: Digest

    init() throws {
        directory = try TemporaryDirectory()
        store = LocalBlobs(directory: directory.path)
        try store.prepare()
        let database = try TestDatabase()
        try database.accounts.add("local", comment: "", by: "tester")
        service = Service(
            store: store, session: database.session(), rules: .forTests(), refusals: RefusalRateLimiter(),
            monitoring: .alone(database.session()))
        table = try RequestTable.read()
        blob = Digest(bytes: Hash.digest(.sha512, of: table.given.blob.utf8))
    }

    private func filled(_ text: String) -> String {
        text.replacing("{blob}", with: blob.description).replacing("{BLOB}", with: blob.description.uppercased())
    }

    /// What nginx would make of it.
    private func request(_ example: RequestTable.Case) throws -> Request {
        var request = Request()
        request.method = example.method
        request.target = Array(filled(example.target).utf8)
        request.mount = Mount(rawValue: String((example.host ?? "").prefix { $0 != "." })) ?? .prefixes
        request.purpose = example.target.hasPrefix("/-/") ? .health : .request
        request.clientAddress = "127.0.0.1"
        request.requestID = "test"
        request.isLocalWriter = example.identity == "local"
        for (name, value) in example.headers ?? [:] {
            switch name {
            case "Range": request.range = filled(value)
            case "If-Match": request.ifMatch = filled(value)
            case "If-None-Match": request.ifNoneMatch = filled(value)
            case "If-Range": request.ifRange = filled(value)
            default: break
            }
        }
        if let body = example.body.map(filled) {
            request.contentLength = "\(body.utf8.count)"
            if !body.isEmpty { request.bodyFile = try store.spool(Array(body.utf8), in: directory) }
        }
        return request
    }

    /// What nginx would send.
    private func body(of response: Response) throws -> String {
        switch response.body {
        case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
        case .file(let file): try String(contentsOfFile: "\(directory.path)/blobs/\(file.path)", encoding: .utf8)
        case .fetched(let route): route.path
        }
    }

    private func prepare() throws {
        try give("POST", "/shacache", table.given.blob)
        for (key, pairs) in table.given.entries {
            for pair in pairs {
                let body = try JSONEncoder().encode(pair.map(filled))
                try give("PUT", "/shadir/\(key)", String(decoding: body, as: UTF8.self))
            }
        }
    }

    private func give(_ method: String, _ target: String, _ body: String) throws {
        let example = RequestTable.Case(
            name: "given", method: method, target: target, host: nil, headers: nil, body: body, identity: "local",
            only: nil, status: 201, answer: nil)
        let request = try request(example)
        #expect(service.answer(request).response.status.rawValue == example.status)
        unlink(request.bodyFile)
    }

    @Test func `every request of the table gets its answer`() throws {
        try prepare()
        for example in table.requests where example.only == nil {
            let request = try request(example)
            let answer = service.answer(request)
            // As nginx does when the request ends.
            unlink(request.bodyFile)
            let response = answer.response
            #expect(response.status.rawValue == example.status, "\(example.name)")
            for (name, value) in example.answer?.headers ?? [:] {
                #expect(response.header(name) == value.map(filled), "\(example.name): \(name)")
            }
            guard example.method != "HEAD" else { continue }
            let body = try body(of: response)
            if let expected = example.answer?.body { #expect(body == filled(expected), "\(example.name)") }
            if let line = example.answer?.line {
                #expect(body.hasSuffix("\n") && !body.dropLast().contains("\n"), "\(example.name)")
                #expect(try body.contains(Regex(filled(line))), "\(example.name): \(body)")
            }
            _ = try service.recordFailure(of: answer)
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: "\(directory.path)/incoming/\(store.host)")
        #expect(left.isEmpty)
    }
}

extension UploadRules {
    static func forTests(signatures: SignaturePolicy = .record, blobSize: Int? = nil) -> UploadRules {
        UploadRules(
            signatures: signatures, keys: KeyLimits(entries: 10, bytes: 1 << 20, entriesPerAccount: 10),
            blobSize: blobSize)
    }
}

extension Monitoring {
    /// Of a worker without neighbours.
    static func alone(_ session: sending Session) -> Monitoring {
        Monitoring(recorder: .alone(version: "test"), directory: nil, session: session, certificates: [])
    }
}
