import Glibc
import System
import Testing

@Suite struct ProgramTests {
    @Test func `what a program writes comes as it is`() throws {
        var bytes: [UInt8] = []
        try Program(["printf", "%s", "a\nü \u{1}"]).run { bytes += $0 }
        #expect(bytes == Array("a\nü \u{1}".utf8))
    }

    // Fails without checkStatus.
    @Test func `one that fails, is ended or isn't there is an error`() {
        let ended = { (words: [String]) in #expect(throws: ProgramError.self) { try Program(words).run() } }
        #expect(ended(["sh", "-c", "exit 24"])?.code == 24)
        #expect(ended(["sh", "-c", "exit 24"])?.description == "sh: ended with 24")
        #expect(ended(["sh", "-c", "kill -9 $$"])?.description == "sh: ended by signal 9")
        #expect(ended(["no-such-program-here"])?.description == "no-such-program-here: can't be run")
    }

    // Fails without kill in run(output:): it would be waited for.
    @Test func `one whose output can't be taken is ended`() throws {
        struct Full: Error {}
        #expect(throws: Full.self) { try Program(["yes"]).run { _ in throw Full() } }
    }

    // Fails without O_CLOEXEC of the pipe, and without /dev/null: what this process could read is what its test writes here.
    // Other tests' files may be open meanwhile.
    @Test func `it has the pipe once, and nothing to read`() throws {
        let script = #"cat; for f in /proc/$$/fd/*; do [ $f -ef /proc/$$/fd/1 ] && echo ${f##*/}; done"#
        var (ends, bytes): ([CInt], [UInt8]) = ([0, 0], [])
        #expect(pipe(&ends) == 0 && write(ends[1], "x", 1) == 1)
        let input = dup(STDIN_FILENO)
        dup2(ends[0], STDIN_FILENO)
        for end in ends { close(end) }
        defer {
            dup2(input, STDIN_FILENO)
            close(input)
        }
        try Program(["sh", "-c", "\(script); true"]).run { bytes += $0 }
        #expect(String(decoding: bytes, as: UTF8.self) == "1\n")
    }
}
