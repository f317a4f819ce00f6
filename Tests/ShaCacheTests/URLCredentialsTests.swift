import Fixtures
import ShaCache
import Testing

struct URLCredentialsTests {
    @Test(arguments: URLsWithCredentials.all)
    func `a URL is shown without user and password`(_ url: String, _ shown: String) {
        #expect(Array(withoutCredentials(url).utf8) == Array(shown.utf8))
    }

    @Test(arguments: URLsWithCredentials.none)
    func `what is no user stays`(_ url: String) {
        #expect(withoutCredentials(url) == url)
    }

    @Test(arguments: URLsWithCredentials.texts)
    func `in a text, each URL ends where it is said to`(_ text: String, _ shown: String) {
        #expect(withoutCredentials(in: text) == shown)
    }

    @Test func `in JSON, every text is looked at, and nothing else changes`() throws {
        let text = #"{"a": ["http://b:c@d.org", 1.5, null, "\ud800 http://b:c@d.org"], "http://b:c@d.org": NaN}"#
        let shown = #"{"a": ["http://d.org", 1.5, null, "\ud800 http://d.org"], "http://d.org": NaN}"#
        #expect(try JSON(Array(text.utf8)).withoutCredentials.dumped() == shown)
    }

    @Test(arguments: [
        ("https://b.s3.org/a?X-Amz-Algorithm=AWS4&X-Amz-Signature=1f", ["X-Amz-Signature"]),
        ("https://s.org/a?X-Amz-Security-Token=a;x%2Dgoog-signature=b", ["X-Amz-Security-Token", "x-goog-signature"]),
        ("https://a.org/?AWSAccessKeyId=a&Signature=b&Expires=1", ["AWSAccessKeyId", "Signature"]),
        ("https://a.org/?se=2026&sig=a%3D#access_token=b", ["sig", "access_token"]),
        ("https://a.org/?TOKEN=a&private_token=b&api_key=c", ["TOKEN", "private_token", "api_key"]),
        ("https://a.org/token=a?", []), ("https://a.org/?token=", []), ("https://a.org/?token", []),
        ("https://a.org/?ref=v1&design=b&format=tar.gz", []), ("https://a.org/", []),
    ])
    func `parameters that let in are named`(_ url: String, _ names: [String]) {
        #expect(secretParameters(of: url) == names)
    }
}
