import ShaCache
import Testing

struct URLCredentialsTests {
    @Test(arguments: [
        ("https://alice:secret@example.org/a", "https://example.org/a"),
        ("https://secret@example.org/a", "https://example.org/a"),
        ("https://:secret@example.org/a", "https://example.org/a"),
        ("https://alice:@example.org", "https://example.org"),
        ("HTTPS://alice:secret@EXAMPLE.org:8443/a", "HTTPS://EXAMPLE.org:8443/a"),
        ("ftp://alice:secret@example.org/a", "ftp://example.org/a"),
        ("git+https://alice:secret@example.org/a@v1", "git+https://example.org/a@v1"),
        ("https://alice:se@cr@et@example.org/a", "https://example.org/a"),
        ("https://alice:se%40cret@example.org/a", "https://example.org/a"),
        ("https://alice:s\u{301}@\u{301}x.org/a", "https://\u{301}x.org/a"),
        ("https://alice:\u{301}secret@[::1]:80/a", "https://[::1]:80/a"),
        ("https://alice:secret@example.org?b=c@d", "https://example.org?b=c@d"),
        ("//alice:secret@example.org/a", "//example.org/a"),
        ("http:/alice:secret@example.org/a", "http:/example.org/a"),
        ("http:///alice:secret@example.org/a", "http:///example.org/a"),
        // An unescaped delimiter in the password.
        ("https://alice:se/cr@et@example.org/a", "https://example.org/a"),
        ("https://alice:se#cret@example.org/a", "https://example.org/a"),
        ("https://alice:a://b?@example.org/a", "https://example.org/a"),
        // A URL in a URL.
        ("https://mirror.org/http://alice:secret@example.org/a", "https://mirror.org/http://example.org/a"),
        ("https://a:secret@mirror.org/?u=http://b:secret@c.org&d=e@f", "https://mirror.org/?u=http://c.org&d=e@f"),
        ("https://m.org/?u=http%3a%2F%2Fb:secret%40c.org%2Fd%40e", "https://m.org/?u=http%3a%2F%2Fc.org%2Fd%40e"),
    ])
    func `a URL is shown without user and password`(_ url: String, _ shown: String) {
        #expect(Array(withoutCredentials(url).utf8) == Array(shown.utf8))
    }

    @Test(arguments: [
        "https://example.org/a", "https://registry.example.org/@scope/name@1.0", "https://example.org:80/a@b",
        "https://example.org:/a@b", "https://[::1]/a@b", "https://[::1]:80/a@b", "https://example.org?mail=a@b",
        "https://example.org#a@b", "https://a.org/?u=http://b.org&mail=c@d", "https://a.org/?u=http://b.org:80/c@d",
        "https://example.org/100%25@%40", "file:///srv/a:b@c", "/srv/a:b@c", "git@example.org:a/b", "a@b", "@", "%", "",
        "https://", "://", "//",
    ])
    func `what is no user stays`(_ url: String) {
        #expect(withoutCredentials(url) == url)
    }

    @Test func `in a text, each URL ends where it is said to`() {
        #expect(
            withoutCredentials(
                in: " get \"http://alice:s\"cret@a.org/b\" or <ftp://bob:secret@c.org>\nfrom me@d.org:x ")
                == " get \"http://a.org/b\" or <ftp://c.org>\nfrom me@d.org:x ")
        #expect(
            withoutCredentials(in: "http://a.org:port is it, says me@d.org") == "http://a.org:port is it, says me@d.org"
        )
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
