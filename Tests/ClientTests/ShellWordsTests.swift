import Fixtures
import Foundation
import ShaCache
import Testing

@testable import Client

struct ShellWordsTests {
    private static let texts = [
        "", " \t\n", "a b\tc\r\nd", "a=b", "NAME=\"Debian GNU/Linux\"\nID=debian\n", "'a b'", "\"a b\"",
        "a'b 'c\"d \"e",
        "''", "a '' \"\" b", "# comment\na", "a # comment\nb", "a#b", "a#b\nc", "'#'", "\"#\"", "\\#", "a\\ b",
        "a\\\nb",
        "\"a\\\"b\"", "\"a\\\\b\"", "\"a\\$b\"", "\"a\\`b\"", "'a\\b'", "'a\\", "\"a", "'a", "\"a\\", "a\\", "a\"", "#",
        "é 'ü ß'", "e\u{301} \"e\u{301}\"", "a\u{a0}b", "a\u{b}b", "a;b|c&d", "$a `b` $(c)", "a''b", "'\n'", "\"\r\n\"",
    ]

    @Test func `words are those of Python's shlex`() throws {
        let script = """
            import json, shlex, sys
            def words(text):
                lexer = shlex.shlex(text, posix=True)
                lexer.whitespace_split = True
                try:
                    return list(lexer)
                except ValueError:
                    return None
            print(json.dumps([words(text) for text in json.load(sys.stdin)]))
            """
        let printed = try output(
            of: "python3", "-c", script, input: JSONEncoder().encode(Self.texts))
        let python = try JSONDecoder().decode([[String]?].self, from: printed)
        for (text, words) in zip(Self.texts, python) {
            let ours = try? ShellWords(text).words
            #expect(
                ours.map { $0.map { Array($0.utf8) } } == words.map { $0.map { Array($0.utf8) } },
                "\(text.debugDescription)")
        }
    }

    @Test(arguments: [
        ("'a", "quotation mark"), ("\"a\\\"", "quotation mark"), ("a\\", "backslash"), ("\"a\\", "backslash"),
    ])
    func `what is missing at the end is named`(_ text: String, _ what: String) {
        do {
            _ = try ShellWords(text)
            Issue.record("is complete")
        } catch {
            #expect(error.description.contains(what))
        }
    }
}
