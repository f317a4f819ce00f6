/// URLs and texts, and what is shown of them: one table for the programs and for the database.
public enum URLsWithCredentials {
    public static let all: [(url: String, shown: String)] = [
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
        // As Python's quote writes it, and others.
        ("https://m.org/?u=http%3A//b%3Asecret%40c.org/d%40e", "https://m.org/?u=http%3A//c.org/d%40e"),
        ("https://m.org/?u=http:%2F%2Fb:secret%40c.org%2Fd", "https://m.org/?u=http:%2F%2Fc.org%2Fd"),
    ]

    public static let none: [String] = [
        "https://example.org/a", "https://registry.example.org/@scope/name@1.0", "https://example.org:80/a@b",
        "https://example.org:/a@b", "https://[::1]/a@b", "https://[::1]:80/a@b", "https://example.org?mail=a@b",
        "https://example.org#a@b", "https://a.org/?u=http://b.org&mail=c@d", "https://a.org/?u=http://b.org:80/c@d",
        "https://example.org/100%25@%40", "file:///srv/a:b@c", "/srv/a:b@c", "git@example.org:a/b", "a@b", "@", "%", "",
        "https://", "://", "//",
    ]

    public static let texts: [(text: String, shown: String)] = [
        (
            " get \"http://alice:secret@a.org/b\" or <ftp://bob:secret@c.org>\nfrom me@d.org:x ",
            " get \"http://a.org/b\" or <ftp://c.org>\nfrom me@d.org:x "
        ),
        ("http://a.org:port is it, says me@d.org", "http://a.org:port is it, says me@d.org"),
    ]
}
