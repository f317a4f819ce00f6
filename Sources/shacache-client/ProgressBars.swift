import Client
import Glibc
import ShaCache
import TextTable

/// A line for each file that is under way, and one for all of them, drawn over themselves ten times a second.
struct ProgressBars {
    private struct Bar {
        var progress: Progress
        let start = ContinuousClock.now

        /// In bytes a second, since this step began.
        var rate: Double { Double(progress.done) / max(0.1, start.duration(to: .now) / .seconds(1)) }
    }

    private var bars: [Bar] = []
    private var finished = (items: 0, bytes: 0)
    private var drawnLines = 0
    private var lastDrawing = ContinuousClock.now - .seconds(1)

    mutating func update(_ progress: Progress, write: (String) -> Void) {
        if let index = bars.firstIndex(where: { $0.progress.item == progress.item }) {
            // What is still packed or fetched while it is sent tells in turn with the sending, which is the end of it.
            if bars[index].progress.step == .sending, [.packing, .fetching].contains(progress.step) { return }
            // Each step has a rate of its own.
            if bars[index].progress.step == progress.step {
                bars[index].progress = progress
            } else {
                bars[index] = Bar(progress: progress)
            }
        } else {
            bars.append(Bar(progress: progress))
        }
        guard ContinuousClock.now - lastDrawing > .milliseconds(100) else { return }
        draw(write)
    }

    mutating func finish(_ item: String, write: (String) -> Void) {
        clear(write: write)
        guard let index = bars.firstIndex(where: { $0.progress.item == item }) else { return }
        finished = (finished.items + 1, finished.bytes + bars.remove(at: index).progress.done)
    }

    /// Makes room for other output; the next update draws again.
    mutating func clear(write: (String) -> Void) {
        guard drawnLines > 0 else { return }
        // Up to the first line of ours, and away with all below.
        write("\u{1B}[\(drawnLines)A\r\u{1B}[J")
        drawnLines = 0
    }

    private mutating func draw(_ write: (String) -> Void) {
        lastDrawing = .now
        var lines = bars.map(Self.line)
        if bars.count + finished.items > 1 { lines.append(total) }
        let width = Self.width
        let text = lines.map { String($0.prefix(width)) + "\n" }.joined()
        let back = drawnLines > 0 ? "\u{1B}[\(drawnLines)A\r\u{1B}[J" : ""
        write(back + text)
        drawnLines = lines.count
    }

    /// How much is left is known when it is of each file; those that wait for their turn don't count.
    private var total: String {
        let done = finished.bytes + bars.reduce(0) { $0 + $1.progress.done }
        let rate = bars.reduce(0) { $0 + $1.rate }
        let left = bars.reduce(0 as Int?) { sum, bar in
            guard let sum, let total = bar.progress.total else { return nil }
            // A total comes from a server.
            return sum + min(max(0, total - bar.progress.done), .max - sum)
        }
        return "in total: \(finished.items) finished, \(bars.count) under way  \(sizeText(done))  "
            + Self.pace(rate, left: left)
    }

    private static func line(_ bar: Bar) -> String {
        let progress = bar.progress
        let start = "\(progress.step.rawValue) \(withoutCredentials(in: progress.item).visible.suffix(30))"
        guard let total = progress.total, total > 0 else {
            return "\(start)  \(sizeText(progress.done))  \(pace(bar.rate, left: nil))"
        }
        let part = min(1, Double(progress.done) / Double(total))
        let filled = Int(part * 20)
        let strip = String(repeating: "━", count: filled) + String(repeating: "─", count: 20 - filled)
        return "\(start)  \(strip) \(Int(part * 100)) %  \(sizeText(progress.done)) of \(sizeText(total))  "
            + pace(bar.rate, left: max(0, total - progress.done))
    }

    /// - Parameters:
    ///   - rate: in bytes a second.
    ///   - left: in bytes; nil when it is unknown.
    private static func pace(_ rate: Double, left: Int?) -> String {
        guard let left, rate > 0 else { return "\(sizeText(Int(rate)))/s" }
        return "\(sizeText(Int(rate)))/s  \(duration(Double(left) / rate)) left"
    }

    private static var width: Int {
        var window = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &window) == 0, window.ws_col > 0 else { return 80 }
        return Int(window.ws_col) - 1
    }
}

/// Seconds, for people.
func duration(_ seconds: Double) -> String {
    let whole = Int(min(seconds, 359_999))
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return whole < 172_800 ? "\(whole / 3600) h \(whole % 3600 / 60) min" : "\(whole / 86_400) days"
}
