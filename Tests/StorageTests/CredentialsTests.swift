import Fixtures
import Postgres
import ShaCache
import Testing

/// The database says of URLs what `withoutCredentials` says. Its own table of tests is URLCredentialsTests.swift's.
struct CredentialsTests {
    private let connection: Connection

    init() throws { connection = try TestDatabase().connection() }

    @Test func `the database leaves out of URLs what the programs do`() throws {
        for (url, shown) in URLsWithCredentials.all {
            #expect(try connection.run("SELECT shacache.url_without_credentials(\(url))").first?.text(0) == shown)
            #expect(try connection.run("SELECT shacache.without_credentials(\(url))").first?.text(0) == shown)
        }
        for url in URLsWithCredentials.none {
            #expect(try connection.run("SELECT shacache.url_without_credentials(\(url))").first?.text(0) == url)
            #expect(try connection.run("SELECT shacache.without_credentials(\(url))").first?.text(0) == url)
        }
    }

    @Test func `in a text, each URL ends where the programs say`() throws {
        for (text, shown) in URLsWithCredentials.texts {
            #expect(try connection.run("SELECT shacache.without_credentials(\(text))").first?.text(0) == shown)
        }
    }

    @Test(arguments: [
        #"{"url": "https://alice:secret@a.org/b"}"#, #"{"url":"https:\/\/alice:secret@a.org\/b"}"#,
        #"{"url": "https\u003A//alice:secret\u0040a.org/b"}"#, #"{"say": ["see https://alice:secret@a.org/b"]}"#,
    ])
    func `JSON may write a URL as it likes`(_ metadata: String) throws {
        let found = try connection.run("SELECT shacache.urls_with_credentials(\(metadata))").first?.text(0)
        #expect(found == "{https://a.org/b}")
    }

    @Test func `without a password there is none`() throws {
        let metadata = #"{"url": "https://a.org/@b", "mail": "me@a.org", "n": "100%40"}"#
        #expect(try connection.run("SELECT shacache.urls_with_credentials(\(metadata))").first?.text(0) == nil)
    }
}
