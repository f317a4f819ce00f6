import Fixtures
import Foundation
import Metrics
import Testing

struct MetricsDirectoryTests {
    private let directory: TemporaryDirectory
    private let metrics: MetricsDirectory

    init() throws {
        directory = try TemporaryDirectory()
        metrics = MetricsDirectory(directory: directory.path)
    }

    /// What any worker of the host would show.
    private var shown: [Substring] {
        var exposition = Exposition()
        exposition.addWorkers(metrics.snapshots())
        return exposition.text.split(separator: "\n")
    }

    private func shown(_ name: String) -> [Substring] { shown.filter { $0.hasPrefix(name) } }

    @Test func `workers have slots of their own, and each shows all`() throws {
        let (first, second) = (try metrics.takeSlot(version: "1"), try metrics.takeSlot(version: "2"))
        first.add(to: .damagedBlobs)
        second.add(3, to: .damagedBlobs)
        #expect(
            shown("shacache_damaged_blob_reads_total") == [
                "shacache_damaged_blob_reads_total{worker=\"1\"} 1",
                "shacache_damaged_blob_reads_total{worker=\"2\"} 3",
            ])
        #expect(
            shown("shacache_build_info") == [
                "shacache_build_info{worker=\"1\",version=\"1\"} 1",
                "shacache_build_info{worker=\"2\",version=\"2\"} 1",
            ])
        #expect(shown("# TYPE shacache_damaged").count == 1)
    }

    // MetricsDirectory.takeSlot takes the first that is free; LockedFile.contents shows what is locked; LockedFile.clear.
    @Test func `who takes a dead worker's place has its name, and nothing of its figures`() throws {
        var first: Recorder? = try metrics.takeSlot(version: "1")
        let second = try metrics.takeSlot(version: "1")
        first?.add(to: .inFlight, "uploads")
        second.add(2, to: .inFlight, "uploads")
        first = nil
        #expect(shown("shacache_requests_in_flight{worker=\"1\"").isEmpty)
        first = try metrics.takeSlot(version: "1")
        #expect(
            shown("shacache_requests_in_flight").filter { $0.contains("uploads") } == [
                "shacache_requests_in_flight{worker=\"1\",socket=\"uploads\"} 0",
                "shacache_requests_in_flight{worker=\"2\",socket=\"uploads\"} 2",
            ])
    }

    // Snapshot.init compares size, mark and layout.
    @Test(arguments: [0, 8]) func `a file of another version, and a damaged one, are left out`(_ place: Int) throws {
        let recorder = try metrics.takeSlot(version: "1")
        let file = try FileHandle(forUpdating: URL(filePath: "\(directory.path)/worker-1"))
        try file.seek(toOffset: UInt64(place))
        try file.write(contentsOf: Data([7]))
        #expect(shown.isEmpty)
        recorder.add(to: .damagedBlobs)
    }

    @Test func `what lay in the slot before is replaced`() throws {
        try Data("something else".utf8).write(to: URL(filePath: "\(directory.path)/worker-1"))
        try Data(count: 1 << 20).write(to: URL(filePath: "\(directory.path)/worker-2"))
        #expect(shown.isEmpty)
        let workers = (try metrics.takeSlot(version: "1"), try metrics.takeSlot(version: "1"))
        #expect(shown("shacache_damaged_blob_reads_total").count == 2)
        workers.0.add(to: .damagedBlobs)
    }

    @Test func `a directory that can't be used is named`() {
        #expect { try MetricsDirectory(directory: "/nowhere").takeSlot(version: "1") } throws: {
            "\($0)" == "/nowhere/worker-1: no such file or directory"
        }
    }

    @Test func `threads lose nothing to each other`() throws {
        let recorder = try metrics.takeSlot(version: "1")
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            for _ in 0..<10_000 { recorder.add(to: .requests, "blob", "GET", "200") }
        }
        #expect(
            shown("shacache_requests_total") == [
                "shacache_requests_total{worker=\"1\",route=\"blob\",method=\"GET\",status=\"200\"} 80000"
            ])
    }

    @Test func `what no label knows counts as other`() throws {
        let recorder = try metrics.takeSlot(version: "1")
        recorder.add(to: .requests, "nothing", "BREW", "418")
        #expect(
            shown("shacache_requests_total") == [
                "shacache_requests_total{worker=\"1\",route=\"other\",method=\"other\",status=\"other\"} 1"
            ])
    }

    // Label.index, which takes the last value for one that it doesn't know only where that is `other`.
    @Test func `what a closed label doesn't know ends a test, and counts as nothing else`() async throws {
        await #expect(processExitsWith: .failure) {
            Recorder.alone(version: "1").observe(.seconds(1), in: .uploadStageSeconds, "compress")
        }
        await #expect(processExitsWith: .success) {
            Recorder.alone(version: "1").observe(.seconds(1), in: .uploadStageSeconds, "commit")
        }
    }

    @Test func `a histogram's buckets hold those below them, and its sum is in seconds`() throws {
        let recorder = try metrics.takeSlot(version: "1")
        for seconds in [0.001, 0.02, 0.02, 7200] { recorder.observe(.seconds(seconds), in: .uploadSeconds, "blob") }
        let lines = shown("shacache_upload_duration_seconds").filter { $0.contains("blob") }
        let values = lines.map { Double($0.split(separator: " ").last!)! }
        #expect(lines.count == 21)
        // From 1 ms; 10 ms; 25 ms; one hour; without bound.
        #expect([0, 3, 4, 17, 18].map { values[$0] } == [1, 1, 3, 3, 4])
        #expect(lines[0].contains("le=\"0.001\"") && lines[17].contains("le=\"3600\"") && lines[18].contains("+Inf"))
        #expect(values[19] == 7200.041 && values[20] == 4)
    }
}

struct ExpositionTests {
    @Test func `what a label holds can't end it`() {
        var exposition = Exposition()
        exposition.addFamily(Family("x", .gauge, "Some help."), [Exposition.Sample(1.5, ("file", "a\"b\\c\nd"))])
        #expect(exposition.text == "# HELP x Some help.\n# TYPE x gauge\nx{file=\"a\\\"b\\\\c\\nd\"} 1.5\n")
    }

    @Test func `a family without samples is left out, and whole numbers have no exponent`() {
        var exposition = Exposition()
        exposition.addFamily(Family("y", .gauge, "Some help."), [])
        exposition.addFamily(Family("x", .gauge, "Some help."), [Exposition.Sample(1e15)])
        #expect(exposition.text == "# HELP x Some help.\n# TYPE x gauge\nx 1000000000000000\n")
    }
}
