import Foundation
import Storage

/// One thing that a cache needs on its host.
struct SetupStep {
    let name: String
    /// - Returns: what is there, for people.
    /// - Throws: what is wrong with it: a `SetupProblem`, or what its check met.
    let check: () throws -> String
    /// Makes it as the check wants it; nil: only a person can, and must have before anything is changed.
    let bringAbout: (() throws -> Void)?

    init(_ name: String, bringAbout: (() throws -> Void)? = nil, check: @escaping () throws -> String) {
        (self.name, self.check, self.bringAbout) = (name, check, bringAbout)
    }
}

/// Why a step isn't as it should be, and what to do.
struct SetupProblem: Error, CustomStringConvertible {
    let what: String
    let advice: String

    init(_ what: String, _ advice: String) { (self.what, self.advice) = (what, advice) }

    var description: String { "\(what)\nhint: \(advice)" }
}

/// The steps of a host, in the order in which each needs those before it.
struct SetupSteps {
    let all: [SetupStep]

    /// Looks at all that only a person can mend, then brings about what is lacking of the rest.
    ///
    /// - Parameter report: told of each step that was done, or was done before.
    /// - Throws: at the first one that isn't right then; those behind it are as they were.
    func bringAbout(_ report: (_ step: String, _ isNew: Bool, _ detail: String) -> Void) throws {
        for step in all where step.bringAbout == nil { report(step.name, false, try naming(step, step.check)) }
        for step in all {
            guard let bringAbout = step.bringAbout else { continue }
            if let detail = try? step.check() {
                report(step.name, false, detail)
            } else {
                try naming(step, bringAbout)
                report(step.name, true, try naming(step, step.check))
            }
        }
    }

    private func naming<Result>(_ step: SetupStep, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch { throw CommandError("\(step.name): \(error)") }
    }

    /// How each of them is, on a line of its own, and whether all are right.
    func checked() -> (table: Table, isRight: Bool) {
        var wrong = 0
        let rows = all.map { step -> [TableValue] in
            do {
                return [.text("ok"), .text(step.name), .text(try step.check())]
            } catch {
                wrong += 1
                return [.text("wrong"), .text(step.name), .text("\(error)".inOneLine)]
            }
        }
        return (Table(columns: ["state", "step", "detail"], rows: rows), wrong == 0)
    }
}

extension String {
    /// A message, with its advice, and the lines that PostgreSQL breaks its own into.
    fileprivate var inOneLine: String {
        replacing("\nhint: ", with: ": ").split(whereSeparator: \.isNewline)
            .map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: " ")
    }
}
