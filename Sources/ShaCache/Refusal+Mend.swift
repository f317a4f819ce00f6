extension Refusal {
    /// What a reader of a builder's log can do about it; nil where the message says so, or where the program
    /// that made the request is to be mended.
    public var mend: String? {
        switch self {
        case .notAuthorized(_, let mend): mend
        case .incompleteBody: "send it again"
        case .unsigned: "set signature-private-key-file"
        case .unknownSigner: "ask the operator to add your signature certificate"
        case .revokedSigner: "make a new one, by shacache generate-signature-key"
        case .credentials: "leave out what stands before the @"
        case .keyIsFull: "ask the operator to withdraw old ones"
        case .entryTooLarge: "leave something out of its metadata"
        case .accountLimit, .blobTooLarge: "ask the operator for more"
        case .withdrawn, .malformedRequest, .lengthRequired, .malformedKey, .malformedEntry, .digestMismatch,
            .sizeMismatch, .nothingToWithdraw:
            nil
        }
    }
}
