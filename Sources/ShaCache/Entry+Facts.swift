extension Entry {
    /// What reports want to know of the metadata. Anything of another shape than usual is left out, not refused:
    /// the metadata belongs to its signer.
    public struct Facts: Sendable {
        public let softwareURL: String?
        public let multiarch: String?
        /// Distribution, version, id.
        public let os: [String]?

        init(_ metadata: JSON) {
            softwareURL = metadata["software_url"]?.plainString
            multiarch = metadata["multiarch"]?.plainString
            os = metadata["os"]?.plainStrings
        }
    }
}

extension JSON {
    /// PostgreSQL's text holds any character but NUL.
    fileprivate var plainString: String? { string.flatMap { $0.utf8.contains(0) ? nil : $0 } }

    fileprivate var plainStrings: [String]? {
        guard case .array(let elements) = self else { return nil }
        let strings = elements.compactMap(\.plainString)
        return strings.count == elements.count ? strings : nil
    }
}
