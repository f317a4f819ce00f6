import Foundation
import ShaCache
import Testing

struct StatusTests {
    /// A refused line with a word that is another status's would be read as that one.
    @Test func `every status has words of its own`() {
        #expect(Set(Status.allCases.map(\.reasonPhrase)).count == Status.allCases.count)
        #expect(Status.allCases.allSatisfy { !$0.reasonPhrase.isEmpty })
    }
}
