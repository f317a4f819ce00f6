import Glibc
import Storage
import System

extension HostSetup {
    private static let sockets = ["shacached-read.socket", "shacached-write.socket"]
    private static let timers = ["maintain", "ingest-log", "survey", "scrub"].map { "shacache-\($0).timer" }

    var unitSteps: [SetupStep] {
        let page = unitStep("page", ["shacache-page.socket", "shacache-page.service"])
        let fetcher = unitStep("fetcher", ["shacache-fetcher.socket", "shacache-fetcher.service"])
        return [
            unitStep("workers", Self.sockets + workers.map { "shacached@\($0).service" }),
            unitStep("timers", Self.timers), page,
        ] + (configuration.upstreams.isEmpty ? [] : [fetcher])
    }

    /// One for two cores is enough; the second goes on when the first is killed, and more than three take more sessions than
    /// PostgreSQL has by default ("Sizing" in operate.md). Those that an operator added are looked at by health checks.
    private var workers: ClosedRange<Int> {
        guard let wishes else { return 1...1 }
        return 1...(wishes.workers ?? min(3, max(2, processorCount / 2)))
    }

    private func unitStep(_ name: String, _ units: [String]) -> SetupStep {
        SetupStep(name) {
            try Program(["systemctl", "enable", "--quiet", "--now"] + units).run()
        } check: {
            for unit in units {
                for (question, problem) in [("is-enabled", "is not enabled"), ("is-active", "doesn't run")]
                where try Program(["systemctl", question, "--quiet", unit]).quietText() == nil {
                    throw SetupProblem(
                        "\(unit) \(problem)", "systemctl enable --now \(unit), and journalctl -u \(unit) says why")
                }
            }
            return units.map { $0.replacing(".service", with: "") }.joined(separator: ", ")
        }
    }

    var readinessStep: SetupStep {
        SetupStep("health", bringAbout: waitUntilReady) {
            let words = ["curl", "-sS", "--max-time", "10", "-w", "%{http_code}", "http://localhost/-/ready"]
            let answer = try Program(words).quietText()
            guard let answer, answer.hasSuffix("200") else {
                let said = answer.map { $0.dropLast(3).split(separator: "\n").joined(separator: ", ") } ?? "no answer"
                throw SetupProblem(
                    "http://localhost/-/ready: \(said)", "/usr/share/doc/shacache/reference.md#health-checks says why")
            }
            return "/-/ready is 200"
        }
    }

    /// A worker has just been started, and its first sessions are being opened.
    private func waitUntilReady() throws {
        let end = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < end, (try? readinessStep.check()) == nil { usleep(200_000) }
    }
}
