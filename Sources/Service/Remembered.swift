import ShaCache
import Storage

/// One thread's cache of accounts and signers, so that an upload needs no round trip for them. It may be outdated: the
/// transaction that stores something confirms it, and nothing is refused because of it before it was read anew.
struct Remembered {
    /// By certificate; nil is for writers without one.
    private var accounts: [[UInt8]?: Account] = [:]
    private var signers: KnownSigners?
    /// Whether something was remembered, and not read, since this was reset.
    private(set) var wasUsed = false

    /// There are as many as certificates in use.
    private static let mostAccounts = 10_000

    mutating func beginAttempt() { wasUsed = false }

    /// - Parameter read: throws when the certificate counts for nothing.
    mutating func account(_ certificate: [UInt8]?, _ read: () throws -> Account) rethrows -> Account {
        if let account = accounts[certificate] {
            wasUsed = true
            return account
        }
        let account = try read()
        if accounts.count >= Self.mostAccounts { accounts = [:] }
        accounts[certificate] = account
        return account
    }

    mutating func signers(_ read: () throws -> KnownSigners) rethrows -> KnownSigners {
        if let signers {
            wasUsed = true
            return signers
        }
        let read = try read()
        signers = read
        return read
    }

    mutating func forget(_ certificate: [UInt8]?) {
        accounts[certificate] = nil
        signers = nil
    }
}
