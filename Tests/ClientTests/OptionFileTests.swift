import Fixtures
import Foundation
import Testing

@testable import Client

struct OptionFileTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// Each has a section `s` that Python's parser takes.
    @Test(arguments: [
        "[s]\na = b", "[s]\na=b=c\nd:e:f\ng = h:i\nj : k=l", "[ s ]\n[s]\na = 1", "  [s]\n  a = 1\n  b = 2",
        "[s]\nA B = 1\nÄ = 2", "[s]\na = 1 # no comment\nb = 2 ; neither\n# c = 3\n; d = 4",
        "[s]\na =\n\n  1\n  2\nb = 3",
        "[s]\na = 1\n\t2\n  3", "[s]\na = 1\n  # a comment\n  2", "[s]\na = [1]\n  [2]\nb = 3",
        "[s]\r\na = 1\r\n b\r\nc = 2\r\n",
        "[DEFAULT]\na = 1\nb = %(a)s2\n[s]\nc = %(b)s%(A)s", "[DEFAULT]\na = 1\n[s]\na = 2\nb = %(a)s",
        "[s]\na = 100%%\nb = %%(c)s",
        "[t]\na = 1\n[s]\nb = 2\n[u]\nc = 3", "[s]\na = 1\n\n[s.t]\nb = 2", "[s]\na : \n b\n\n\n",
        "[s] trailing\na = 1",
        "[s]\na+b = 1\nc-d_e.f = 2", "[s]\na = b\\\nc = 'd' \"e\"",
    ])
    func `values are those of Python's ConfigParser`(_ text: String) throws {
        let path = "\(directory.path)/file"
        try Data(text.utf8).write(to: URL(filePath: path))
        let printed = try output(of: "python3", "\(repository)/Tests/ClientTests/options.py", path, "s")
        let python = try JSONDecoder().decode([String: String].self, from: printed)
        let file = OptionFile(text)
        #expect(!python.isEmpty && file.has(section: "s"))
        for (name, value) in python {
            // Lines of a list: empty ones, and comments among them, count for nothing.
            let lines = value.split(separator: "\n").map(String.init)
            #expect(file.option(name, in: "s")?.value.split(separator: "\n").map(String.init) == lines, "\(name)")
        }
    }

    @Test func `an option has the line on which it begins`() {
        let file = OptionFile("# comment\n[s]\n\na = 1\n  2\nb = 3\r\nc = 4")
        #expect(["a", "b", "c", "d"].map { file.option($0, in: "s")?.line } == [4, 6, 7, nil])
    }

    @Test func `what is said twice counts as said last, and is known`() {
        let file = OptionFile("[s]\na = 1\nb = 2\nA = 3\n[t]\na = 4")
        #expect(file.option("a", in: "s")?.value == "3" && file.option("a", in: "t")?.value == "4")
        #expect(file.duplicates.keys.sorted() == ["s"] && file.duplicates["s"]?.map(\.name) == ["a"])
        #expect(file.duplicates["s"]?.map(\.line) == [4])
    }

    @Test func `buildout's += adds a line, to nothing too`() {
        let file = OptionFile("[s]\na = 1\na += 2\n  3\nb += 4")
        #expect(file.option("a", in: "s")?.value == "1\n2\n3" && file.option("b", in: "s")?.value == "\n4")
        #expect(file.duplicates.isEmpty)
    }

    /// Python refuses all of such a file.
    @Test func `what isn't understood is left alone`() {
        let file = OptionFile("x = 1\n[s]\nno value\na = 1\n= 2\n[unclosed\nb = %(missing)s%x %(b\nc = 50%")
        #expect(file.option("x", in: "s") == nil && !file.has(section: "unclosed"))
        #expect(file.option("a", in: "s")?.value == "1")
        #expect(file.option("b", in: "s")?.value == "%(missing)s%x %(b" && file.option("c", in: "s")?.value == "50%")
        #expect(OptionFile("").option("a", in: "s") == nil)
    }

    @Test func `options that stand for one another come to an end`() {
        let chain = (0..<9).map { "a\($0) = %(a\($0 + 1))s" }.joined(separator: "\n")
        #expect(OptionFile("[s]\n\(chain)\na9 = end").option("a0", in: "s")?.value == "end")
        #expect(OptionFile("[s]\na = x%(b)s\nb = %(a)s").option("a", in: "s")?.value.hasPrefix("xxx") == true)
    }

    /// What is written is read again, by Python's parser too, and nothing else has changed.
    @Test(arguments: [
        ("", "[s]\na = 1%%\nb-c = 2\n"),
        ("[t]\nx = 1", "[t]\nx = 1\n\n[s]\na = 1%%\nb-c = 2\n"),
        ("[t]\nx = 1\n", "[t]\nx = 1\n\n[s]\na = 1%%\nb-c = 2\n"),
        ("[s]\nx = 1\n  2\n[t]\n", "[s]\na = 1%%\nb-c = 2\nx = 1\n  2\n[t]\n"),
        ("[s]\n# y\n\n  x = 1\n  a =\n  z = 2", "[s]\n  b-c = 2\n# y\n\n  x = 1\n  a = 1%%\n  z = 2"),
        ("[s]\nb_c =\n# y\na:\n[t]\na = 3\n", "[s]\nb-c = 2\n# y\na = 1%%\n[t]\na = 3\n"),
        ("[s]\n", "[s]\na = 1%%\nb-c = 2\n"), ("[s]", "[s]\na = 1%%\nb-c = 2"),
        ("[s]\n[t]\n  x = 1\n", "[s]\na = 1%%\nb-c = 2\n[t]\n  x = 1\n"),
        ("[s]\r\nx = 1\r\n", "[s]\na = 1%%\nb-c = 2\nx = 1\n"),
    ])
    func `options that are lacking are set`(_ old: String, _ new: String) throws {
        let text = OptionFile(old).text(setting: [("a", "1%"), ("b-c", "2")], in: "s")
        #expect(text == new)
        let file = OptionFile(text)
        #expect(["a", "b-c"].map { file.option($0, in: "s")?.value } == ["1%", "2"])
        let path = "\(directory.path)/file"
        try Data(text.utf8).write(to: URL(filePath: path))
        let printed = try output(of: "python3", "\(repository)/Tests/ClientTests/options.py", path, "s")
        let python = try JSONDecoder().decode([String: String].self, from: printed)
        #expect([python["a"], python["b-c"]] == ["1%", "2"])
    }
}
