import Foundation
import Synchronization
import Testing

@testable import Pages

struct HomeStatisticsCacheTests {
    private struct Failure: Error {}

    // Take the waiting out of HomeStatisticsCache.turn, and several count.
    @Test(arguments: [false, true]) func `one counts, the others wait for it, and all show the same`(_ fails: Bool) {
        let figures = HomeStatisticsCache()
        let counted = Atomic(0)
        let told = Atomic(0)
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            let (model, failure) = figures.fresh(
                {
                    counted.add(1, ordering: .relaxed)
                    Thread.sleep(forTimeInterval: 0.1)
                    if fails { throw Failure() }
                    return ["is": "counted"]
                }, otherwise: ["is": "away"])
            #expect(model["is"] as? String == (fails ? "away" : "counted"))
            if failure != nil { told.add(1, ordering: .relaxed) }
        }
        #expect(counted.load(ordering: .relaxed) == 1)
        #expect(told.load(ordering: .relaxed) == (fails ? 1 : 0))
    }
}
