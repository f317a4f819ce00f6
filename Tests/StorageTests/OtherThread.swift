import Dispatch
import Foundation
import Testing

/// What happens in another thread meanwhile. It must throw nothing.
struct OtherThread {
    private let finished = DispatchGroup()

    init(_ action: @escaping @Sendable () throws -> Void) {
        finished.enter()
        Thread { [finished] in
            #expect(throws: Never.self) { try action() }
            finished.leave()
        }.start()
    }

    /// Waits for it; fails when it goes on for ever.
    func expectEnd() { #expect(finished.wait(timeout: .now() + 20) == .success) }
}
