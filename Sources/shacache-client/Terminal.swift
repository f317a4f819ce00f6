import Client
import Glibc
import ShaCache
import Synchronization
import System
import TextTable

/// Data on standard output, talk on standard error, and progress bars where a person looks.
final class Terminal: Sendable {
    enum Loudness: Int, Sendable {
        case quiet, normal, verbose
    }

    private struct State {
        var bars = ProgressBars()
        var warnings = 0
    }

    private let state = Mutex(State())
    private let loudness: Loudness
    private let showsBars: Bool
    private let isColoured: Bool

    init(_ loudness: Loudness) {
        self.loudness = loudness
        let isTerminal = isatty(STDERR_FILENO) == 1 && getenv("TERM").map { String(cString: $0) } != "dumb"
        showsBars = isTerminal && loudness != .quiet
        // https://no-color.org
        isColoured = isTerminal && (getenv("NO_COLOR").map { $0.pointee == 0 } ?? true)
    }

    var reporter: Reporter {
        Reporter(
            warn: { self.warn($0) }, note: { self.note($0) },
            progress: { progress in
                guard self.showsBars else { return }
                self.state.withLock { $0.bars.update(progress) { send($0, to: STDERR_FILENO) } }
            })
    }

    var warnings: Int { state.withLock { $0.warnings } }

    /// What a command was asked for, without the passwords that old entries and the configuration may have in URLs.
    ///
    /// - Throws: `LostOutput` when it can't be written.
    func output(_ text: String) throws { try write(withoutCredentials(in: text)) }

    func output(_ json: JSON, sortingNames: Bool = false) throws {
        try write(json.withoutCredentials.dumped(indent: 2, sortingNames: sortingNames))
    }

    private func write(_ text: String) throws {
        let isWritten = state.withLock { state in
            state.bars.clear { send($0, to: STDERR_FILENO) }
            return send("\(text)\n", to: STDOUT_FILENO)
        }
        guard isWritten else { throw LostOutput(code: errno) }
    }

    /// One line for each thing done.
    func result(_ text: String) {
        guard loudness != .quiet else { return }
        say(text)
    }

    func note(_ text: String) {
        guard loudness == .verbose else { return }
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
        state.withLock { $0.bars.finish(item) { send($0, to: STDERR_FILENO) } }
    }

    private func say(_ text: String, colour: Int? = nil) {
        // What a server or a file name brought along can't steer the terminal.
        let line =
            "shacache: \(withoutCredentials(in: text).split(separator: "\n").map { String($0).visible }.joined(separator: "\n  "))"
        let text = isColoured ? colour.map { "\u{1B}[\($0)m\(line)\u{1B}[0m" } ?? line : line
        state.withLock { state in
            state.bars.clear { send($0, to: STDERR_FILENO) }
            send("\(text)\n", to: STDERR_FILENO)
        }
    }
}

/// What a command was asked for could not be written.
struct LostOutput: Error, CustomStringConvertible {
    let code: Int32

    var description: String { "standard output: \(String(cString: strerror(code)).lowercased())" }
}

/// Writes a text; the names of files in it as their bytes.
///
/// - Returns: false when it can't be written, for the reason in errno: whoever listens may have gone.
@discardableResult
func send(_ text: String, to descriptor: Int32) -> Bool {
    var rest = text.fileNameBytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard count >= 0 || errno == EINTR else { return false }
        rest = rest.dropFirst(max(0, count))
    }
    return true
}
