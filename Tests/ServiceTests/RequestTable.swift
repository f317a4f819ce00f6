import Fixtures
import Foundation

/// The requests of Tests/requests.json, which go straight into the service here, and through nginx in Tests/system.
struct RequestTable: Decodable {
    let given: Given
    let requests: [Case]

    struct Given: Decodable {
        let blob: String
        let entries: [String: [[String]]]
    }

    struct Case: Decodable {
        let name: String
        let method: String
        let target: String
        let host: String?
        let headers: [String: String]?
        let body: String?
        let identity: String?
        let only: String?
        let status: Int
        let answer: Answer?
    }

    struct Answer: Decodable {
        let headers: [String: String?]?
        let body: String?
        let line: String?
    }

    static func read() throws -> RequestTable {
        try JSONDecoder().decode(
            RequestTable.self, from: Data(contentsOf: URL(filePath: "\(repository)/Tests/requests.json")))
    }
}
