public import Storage

extension Configuration {
    /// The section `[feed]`.
    public struct FeedSection: Decodable, Sendable {
        public let readers: FeedReaders

        private enum CodingKeys: String, CodingKey { case readers }

        public init(from decoder: any Decoder) throws {
            let options = try decoder.options(CodingKeys.self)
            readers = try options.decodeIfPresent(FeedReaders.self, forKey: .readers) ?? .operators
        }
    }
}
