import Client
import Glibc
import ShaCache
import Synchronization
import System
import TextTable

/// Data on standard output, messages on standard error, and progress bars on a terminal.
final class Terminal: Sendable {
    enum Verbosity: Int, Sendable {
        case quiet, normal, verbose
    }

    private struct Talk {
        var bars = ProgressBars()
        var warnings = 0
    }

    private let state = Mutex(Talk())
    private let verbosity: Verbosity
    private let showsBars: Bool
    private let isColoured: Bool

    init(_ verbosity: Verbosity) {
        self.verbosity = verbosity
        let isTerminal = isatty(STDERR_FILENO) == 1 && getenv("TERM").map { String(cString: $0) } != "dumb"
        showsBars = isTerminal && verbosity != .quiet
        // https://no-color.org
        isColoured = isTerminal && (getenv("NO_COLOR").map { $0.pointee == 0 } ?? true)
    }

    var reporter: Reporter {
        Reporter(
            warn: { self.warn($0) }, note: { self.note($0) },
            progress: { progress in
                guard self.showsBars else { return }
                self.state.withLock { $0.bars.update(progress, write: sayOnStandardError) }
            })
    }

    var warnings: Int { state.withLock { $0.warnings } }

    /// What a command was asked for, without the passwords that old entries and the configuration may have in URLs.
    ///
    /// - Throws: `SystemError` when it can't be written.
    func output(_ text: String) throws { try write(withoutCredentials(in: text)) }

    func output(_ json: JSON, sortingNames: Bool = false) throws {
        try write(json.withoutCredentials.dumped(indent: 2, sortingNames: sortingNames))
    }

    private func write(_ text: String) throws {
        try state.withLock { state in
            state.bars.clear(write: sayOnStandardError)
            try send("\(text)\n", to: STDOUT_FILENO, named: "standard output")
        }
    }

    /// One line for each thing done.
    func result(_ text: String) {
        guard verbosity != .quiet else { return }
        say(text)
    }

    func note(_ text: String) {
        guard verbosity == .verbose else { return }
        say(text)
    }

    func warn(_ text: String) {
        state.withLock { $0.warnings += 1 }
        say("warning: \(text)", colour: 33)
    }

    func error(_ text: String, hint: String? = nil) {
        say("\(text)", colour: 31)
        if let hint { say("hint: \(hint)") }
    }

    /// The item is finished: its bar goes.
    func finish(_ item: String) {
        guard showsBars else { return }
        state.withLock { $0.bars.finish(item, write: sayOnStandardError) }
    }

    private func say(_ text: String, colour: Int? = nil) {
        // What a server or a file name brought along can't steer the terminal.
        let line =
            "shacache: \(withoutCredentials(in: text).split(separator: "\n").map { String($0).visible }.joined(separator: "\n  "))"
        let text = isColoured ? colour.map { "\u{1B}[\($0)m\(line)\u{1B}[0m" } ?? line : line
        state.withLock { state in
            state.bars.clear(write: sayOnStandardError)
            sayOnStandardError("\(text)\n")
        }
    }
}

/// Writes a text; the names of files in it as their bytes.
///
/// - Parameter name: of the descriptor, for messages.
/// - Throws: `SystemError`.
func send(_ text: String, to descriptor: CInt, named name: String) throws {
    try text.fileNameBytes.withUnsafeBytes { try writeAll($0, to: descriptor, named: name) }
}

/// A failure is ignored: there is no other place to report it.
func sayOnStandardError(_ text: String) { try? send(text, to: STDERR_FILENO, named: "standard error") }
