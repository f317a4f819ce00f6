import ArgumentParser
import Storage

/// What an account may do, and how much.
struct AccountOptions: ParsableArguments {
    @Option(
        help:
            "What it may do: blobs, entries (upload them), withdraw (its own), operator; or none. Repeat it for several."
    )
    var role: [RoleChoice] = []
    @Option(help: "It puts entries only under keys that begin so (pypi:, say). Repeat it for several.")
    var keyPrefix: [String] = []
    @Flag(help: "It puts entries under any key.")
    var anyKey = false
    @Option(help: "The most that it may store, in bytes, or as 500M or 10G (K, M, G, T: powers of 1024); or none.")
    var bytesLimit: LimitOption<Size>?
    @Option(help: "How many blobs it may store; or none.")
    var blobsLimit: LimitOption<Int>?
    @Option(help: "The largest blob that it may store, as --bytes-limit.")
    var blobSizeLimit: LimitOption<Size>?
    @Option(help: "How many new entries it may put in a day (of UTC); or none.")
    var entriesPerDayLimit: LimitOption<Int>?
    @Option(help: "How many entries it may have under one key; or none.")
    var entriesPerKeyLimit: LimitOption<Int>?

    func validate() throws {
        guard keyPrefix.isEmpty || !anyKey else {
            throw ValidationError("--key-prefix and --any-key exclude each other")
        }
        guard role.count < 2 || role.allSatisfy({ $0.role != nil }) else {
            throw ValidationError("--role none stands alone")
        }
    }

    private var limits: [(AccountLimit, Int??)] {
        [
            (.bytes, bytesLimit.map { $0.value?.bytes }), (.blobs, blobsLimit.map(\.value)),
            (.blobSize, blobSizeLimit.map { $0.value?.bytes }), (.entriesPerDay, entriesPerDayLimit.map(\.value)),
            (.entriesPerKey, entriesPerKeyLimit.map(\.value)),
        ]
    }

    var isEmpty: Bool { role.isEmpty && keyPrefix.isEmpty && !anyKey && limits.allSatisfy { $0.1 == nil } }

    /// Leaves alone what was not given.
    func alter(_ account: inout Account) {
        if !role.isEmpty { account.roles = Set(role.compactMap(\.role)) }
        if !keyPrefix.isEmpty { account.keyPrefixes = keyPrefix }
        if anyKey { account.keyPrefixes = nil }
        for case (let limit, let value?) in limits { account.limits[limit] = value }
    }
}

/// A role, or `none`.
struct RoleChoice: ExpressibleByArgument {
    let role: Role?

    init?(argument: String) {
        role = Role(rawValue: argument)
        guard role != nil || argument == "none" else { return nil }
    }

    static var allValueStrings: [String] { Role.allCases.map(\.rawValue) + ["none"] }
}

/// A number that isn't negative, or `none`.
struct LimitOption<Value: ExpressibleByArgument & Comparable & ExpressibleByIntegerLiteral & Sendable>:
    ExpressibleByArgument,
    Sendable
{
    let value: Value?

    init?(argument: String) {
        value = Value(argument: argument)
        guard value.map({ $0 >= 0 }) ?? (argument == "none") else { return nil }
    }
}

/// A number of bytes, also as a multiple of a power of 1024: `10G`.
struct Size: ExpressibleByArgument, Comparable, ExpressibleByIntegerLiteral {
    let bytes: Int

    init(integerLiteral bytes: Int) { self.bytes = bytes }

    init?(argument: String) {
        let digits = argument.prefix(while: \.isWholeNumber)
        guard let number = Int(digits), let unit = Self.units[argument.dropFirst(digits.count).uppercased()] else {
            return nil
        }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit)
        guard !overflow else { return nil }
        self.bytes = bytes
    }

    private static let units = ["": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]

    static func < (left: Size, right: Size) -> Bool { left.bytes < right.bytes }
}
