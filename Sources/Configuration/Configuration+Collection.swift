public import Storage
import TOMLKit

extension Configuration {
    /// The section `[collection]`.
    public struct CollectionSection: Decodable, Sendable {
        public let times: Collection.Times
        /// Entries and blobs a second.
        public let rate: Int

        private enum CodingKeys: String, CodingKey {
            case grace, untouched, trash, rate
            case removalDelay = "removal-delay"
        }

        public init(from decoder: any Decoder) throws {
            let options = try decoder.options(CodingKeys.self)
            times = Collection.Times(
                grace: try options.seconds(.grace) ?? 14 * Self.day,
                untouched: try options.seconds(.untouched) ?? Self.day,
                delay: try options.seconds(.removalDelay) ?? 3600,
                trash: try options.seconds(.trash) ?? 7 * Self.day)
            rate = try options.positive(.rate) ?? 500
        }

        private static let day = 86_400
    }
}

extension KeyedDecodingContainer {
    /// A time that may be none at all.
    fileprivate func seconds(_ key: Key) throws -> Int? {
        guard let text = try decodeIfPresent(String.self, forKey: key) else { return nil }
        if text.wholeMatch(of: /0 ?(second|minute|hour|day|week)s?/) != nil { return 0 }
        guard let period = RetentionPeriod(text) else {
            throw DecodingError.dataCorruptedError(
                forKey: key, in: self,
                debugDescription: "must be like \"14 days\": a number, and seconds, minutes, hours, days or weeks")
        }
        return period.seconds
    }
}
