import Metrics
import ShaCache
import Testing

struct VocabularyTests {
    private let recorder = Recorder.alone(version: "1")

    private var shown: String {
        var exposition = Exposition()
        exposition.addWorkers([recorder.snapshot()!])
        return exposition.text
    }

    @Test(arguments: Refusal.Name.allCases) func `every refusal has a series of its own`(_ name: Refusal.Name) {
        recorder.add(to: .refusals, name.rawValue)
        #expect(shown.contains("shacache_refusals_total{worker=\"0\",reason=\"\(name.rawValue)\"} 1\n"))
    }

    @Test(arguments: FailureName.allCases) func `every failure has a series of its own`(_ name: FailureName) {
        recorder.add(to: .failures, name.rawValue)
        #expect(shown.contains("shacache_failures_total{worker=\"0\",reason=\"\(name.rawValue)\"} 1\n"))
    }

    @Test(arguments: Status.allCases) func `every status has a series of its own`(_ status: Status) {
        recorder.add(to: .requests, "blob", "GET", "\(status.rawValue)")
        #expect(shown.contains("method=\"GET\",status=\"\(status.rawValue)\"} 1\n"))
    }
}
