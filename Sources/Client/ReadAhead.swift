import System

/// Limits how far hashing may be ahead of sending: what is sent is read again, and shall still be in the system's memory.
final class ReadAhead: Sendable {
    private struct Amount {
        var files = 0
        /// In bytes.
        var size = 0
    }

    private static let files = 10_000
    private static let size = 256 << 20

    private let amount = Monitor(Amount())

    /// Waits until there is room for one file more, of `size` bytes.
    func enter(_ size: Int) {
        amount.wait { amount -> Void? in
            let hasRoom = amount.files < Self.files && amount.size + size <= Self.size
            guard hasRoom || amount.files == 0 else { return nil }
            amount.files += 1
            amount.size += size
            return ()
        }
    }

    func leave(_ size: Int) {
        amount.change { amount in
            amount.files -= 1
            amount.size -= size
        }
    }
}
