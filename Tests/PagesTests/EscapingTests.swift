import Fixtures
import Foundation
import Testing

@testable import Pages

struct EscapingTests {
    // Mustache's own escaping leaves a quote that bears an accent as it is: remove Markup, and the third fails.
    @Test(arguments: [
        ("<script>", "&lt;script&gt;"), ("a\"b'c&d", "a&quot;b&#39;c&amp;d"),
        ("x\"\u{301} onclick=y", "x&quot;\u{301} onclick=y"), ("<\u{338}b>\u{338}", "&lt;\u{338}b&gt;\u{338}"),
        ("&lt;", "&amp;lt;"), ("\r\n\"", "\r\n&quot;"),
    ])
    func `what HTML understands is escaped, whatever it is joined with`(_ text: String, _ escaped: String) throws {
        #expect(Array(Markup.escape(text).utf8) == Array(escaped.utf8))
        let directory = try TemporaryDirectory()
        try Data("a{}".utf8).write(to: URL(filePath: "\(directory.path)/style.css"))
        try Data("{{>part}}{{#list}}{{.}}{{/list}}{{<frame}}{{$block}}{{text}}{{/block}}{{/frame}}".utf8)
            .write(to: URL(filePath: "\(directory.path)/page.mustache"))
        try Data("{{text}}".utf8).write(to: URL(filePath: "\(directory.path)/part.mustache"))
        try Data("{{$block}}{{/block}}".utf8).write(to: URL(filePath: "\(directory.path)/frame.mustache"))
        let page = try Templates(directory: directory.path).render("page", ["text": text, "list": [text]])
        #expect(Array(page.utf8) == Array((escaped + escaped + escaped).utf8))
    }

    @Test func `one template alone takes something as it is`() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: "\(repository)/page")
        let raw = try files.filter {
            let text = try String(contentsOfFile: "\(repository)/page/\($0)", encoding: .utf8)
            return text.contains("{{{") || text.contains("{{&") || text.contains("CONTENT_TYPE")
        }
        #expect(raw == ["drawing.mustache"])
    }

    @Test(arguments: [
        ("a\u{202E}b", "a[U+202E]b"), ("\u{7}", "[U+0007]"), ("é\u{301}中", "é\u{301}中"), ("\u{E0041}", "[U+E0041]"),
        ("a\nb", "a[U+000A]b"), ("a b", "a b"), ("a\u{A0}b", "a[U+00A0]b"), ("a\u{3000}b", "a[U+3000]b"),
        ("a\u{3164}", "a[U+3164]"), ("\u{115F}\u{1160}", "[U+115F][U+1160]"), ("a\u{34F}", "a[U+034F]"),
        ("a\u{FE0F}", "a[U+FE0F]"), ("\u{180B}", "[U+180B]"), ("\u{2800}", "[U+2800]"), ("\u{E0100}", "[U+E0100]"),
    ])
    func `what doesn't show is written out`(_ text: String, _ shown: String) {
        #expect(text.shown() == shown)
    }

    @Test func `lines stay where there may be several`() {
        #expect("a\n\tb\r".shown(lines: true) == "a\n\tb[U+000D]")
    }
}
