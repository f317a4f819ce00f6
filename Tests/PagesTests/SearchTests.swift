import ShaCache
import Testing

@testable import Pages

struct SearchTests {
    private func keys(_ text: String) -> [String] { Search(text).keys.map(\.key.text) }

    @Test func `a URL is a source archive's, a software release's, and itself`() throws {
        #expect(
            keys("https://example.org/a.tar.gz") == [
                "https://example.org/a.tar.gz",
                "file-urlmd5:" + (try Key.softwareRelease(url: "https://example.org/a.tar.gz").text),
                "slapos-buildout-" + (try Key.softwareRelease(url: "https://example.org/a.tar.gz").text),
                try Key.softwareRelease(url: "https://example.org/a.tar.gz").text,
            ])
    }

    @Test(arguments: [
        "Foo_Bar=1.0", "Foo_Bar==1.0", "pypi:Foo_Bar==1.0", "Foo_Bar == 1.0", "Foo_Bar===1.0", "Foo_Bar[extra]==1.0",
        "Foo_Bar [a, b] == 1.0", "Foo_Bar (1.0)", "Foo_Bar(==1.0)",
    ])
    func `a Python distribution is found however it is written`(_ text: String) {
        let names = ["Foo_Bar", "foo-bar", "foo_bar", "foo.bar", "Foo-Bar", "Foo.Bar"]
        #expect(Set(keys(text)).isSuperset(of: names.map { "pypi:\($0)=1.0" }))
    }

    @Test func `a name alone begins the keys of all versions`() {
        #expect(Search("numpy").beginnings == ["pypi:numpy=", "numpy"])
        #expect(Search("a.b").beginnings == ["pypi:a.b=", "pypi:a-b=", "pypi:a_b=", "a.b"])
    }

    @Test(arguments: [
        ("http://localhost:8080/shadir/pypi:a%3D1%2B2", "pypi:a=1+2"), ("/shadir/a/b", "a/b"),
        ("https://shadir.example.org/x//y", "x//y"), ("http://cache.example.org/shacache/dir/k", "k"),
    ])
    func `the URL of a key is that key`(_ text: String, _ key: String) { #expect(keys(text).contains(key)) }

    @Test(arguments: [
        "http://localhost:8080/shacache/", "/shacache/", "https://shacache.example.org/",
        "http://cache.example.org/shacache/cache/",
    ])
    func `the URL of a blob is that blob`(_ text: String) {
        let hash = String(repeating: "0aB9", count: 32)
        #expect(Search(text + hash).blobs?.first.description == hash.lowercased())
    }

    @Test func `an MD5 is a URL's`() {
        let md5 = String(repeating: "0aB9", count: 8)
        let digits = md5.lowercased()
        #expect(
            keys(md5) == [
                md5, "file-urlmd5:\(digits)", "slapos-buildout-\(digits)", "pypi-buildout-\(digits)", digits,
            ])
    }

    @Test(arguments: ["/?q=+", "/?q=%20%09", "/?q="]) func `who looks for nothing sees the first page`(_ target: String)
    {
        guard case .home = PageRoute.find(Array(target.utf8)) else { return #expect(Bool(false)) }
    }

    @Test func `a hash may be cut, but not below eight digits`() {
        #expect(Search("1234567").blobs == nil)
        #expect(Search("12345678").blobs?.first.description.hasSuffix("8000") == false)
        #expect(Search("ABCDEF01").blobs?.last.description == "abcdef01" + String(repeating: "f", count: 120))
        #expect(Search(String(repeating: "a", count: 129)).blobs == nil)
        #expect(Search("1234567g").blobs == nil)
    }

    @Test func `what is no escape leaves its field as it came`() {
        let form = Form(ArraySlice("q=a%2520+b%zz&empty=&p=%FF".utf8))
        #expect(form["q"] == "a%2520 b%zz")
        #expect(form["empty"] == nil)
        #expect(form["p"] == "\u{FFFD}")
    }

    @Test(arguments: [
        "/-/page/entry/", "/-/page/entry/x", "/-/page/entry/99999999999999999999", "/-/page/entry/1/", "/-/page/",
        "/-/page", "/-/page/blob/12", "/-/page/report", "/-/page/reports/", "/-/page/key", "/-/pagex",
    ])
    func `a path that names nothing is nothing`(_ path: String) { #expect(PageRoute.find(Array(path.utf8)) == nil) }
}
