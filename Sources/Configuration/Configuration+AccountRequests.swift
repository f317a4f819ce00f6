public import Storage

extension Configuration {
    /// The section `[account-requests]`.
    public struct AccountRequestsSection: Decodable, Sendable {
        /// Whether they are taken at all.
        public let isEnabled: Bool
        public let limits: AccountRequests.Limits
        /// In seconds: for how long a request waits, and what was decided is kept for who asked.
        public let keep: Int

        private enum CodingKeys: String, CodingKey {
            case enabled, waiting, keep
            case perAddress = "per-address"
        }

        public init(from decoder: any Decoder) throws {
            let options = try decoder.options(CodingKeys.self)
            isEnabled = try options.flag(.enabled)
            limits = AccountRequests.Limits(
                waiting: try options.count(.waiting) ?? 100, perAddress: try options.count(.perAddress) ?? 5)
            keep = try options.period(.keep)?.seconds ?? 30 * 86_400
        }
    }
}
