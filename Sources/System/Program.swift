import CLinux
import Glibc

/// Another program, which this one runs to its end, in this one's place on the terminal: what it says on standard error
/// appears there, and Ctrl-C ends both. It reads nothing from standard input.
///
/// The kernel kills it when the thread that runs it ends, however that comes about: what it writes, nothing would
/// wait for any more.
public struct Program: Sendable {
    /// The first one is its name, which is looked up as a shell does.
    public let words: [String]

    public init(_ words: [String]) { self.words = words }

    /// - Throws: `ProgramError` when it ends otherwise than with 0.
    public func run() throws {
        try checkStatus(try spawn(output: nil).wait())
    }

    /// - Parameter output: takes what it writes to standard output, a piece at a time, as it comes.
    /// - Throws: `ProgramError`, or what `output` throws; then the program was killed.
    public func run(output: (UnsafeRawBufferPointer) throws -> Void) throws {
        var ends: [CInt] = [0, 0]
        try systemCall("make a pipe") { pipe2(&ends, O_CLOEXEC) }
        let reading = Descriptor(owning: ends[0], named: name)
        let process: ChildProcess
        do {
            // Or its end would never come.
            defer { close(ends[1]) }
            process = try spawn(output: ends[1])
        }
        do {
            try reading.forEachPiece(output)
        } catch {
            process.kill()
            throw error
        }
        try checkStatus(process.wait())
    }

    private var name: String { words[0] }

    private func checkStatus(_ status: CInt) throws(ProgramError) {
        guard status != 0 else { return }
        throw ProgramError(name: name, status: status)
    }

    /// - Parameter output: becomes standard output; nil: it has ours.
    private func spawn(output: CInt?) throws(SystemError) -> ChildProcess {
        // setpriv(1) lives in util-linux, which every Linux has: prctl(2) can't be called between fork and exec from here.
        let all = ["setpriv", "--pdeathsig=KILL", "--"] + words
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        if let output { posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO) }
        var arguments = all.map { word in word.withFileName { strdup($0) } } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process = pid_t()
        let code = posix_spawnp(&process, arguments[0]!, &actions, nil, &arguments, environ)
        guard code == 0 else { throw SystemError("start", name, errno: code) }
        return ChildProcess(number: process)
    }
}

/// A process of ours, waited for once.
private struct ChildProcess {
    let number: pid_t

    /// - Returns: as waitpid(2) has it.
    func wait() -> CInt {
        var status: CInt = 0
        while waitpid(number, &status, 0) < 0, errno == EINTR {}
        return status
    }

    func kill() {
        Glibc.kill(number, SIGKILL)
        _ = wait()
    }
}

/// How a program ended that did not do what it was asked to; it has said why itself.
public struct ProgramError: Error, CustomStringConvertible {
    public let name: String
    /// As waitpid(2) has it.
    private let status: CInt

    fileprivate init(name: String, status: CInt) {
        self.name = name
        self.status = status
    }

    /// Its exit code; nil when a signal ended it.
    public var code: Int? { status & 0x7f == 0 ? Int(status >> 8 & 0xff) : nil }

    public var description: String {
        switch code {
        case 127: "\(name): can't be run"
        case .some(let code): "\(name): ended with \(code)"
        case nil: "\(name): ended by signal \(status & 0x7f)"
        }
    }
}
