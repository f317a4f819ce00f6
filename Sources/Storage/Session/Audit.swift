import Postgres

/// Why a change of accounts, certificates or signers was not made.
public enum AdministrationError: Error, CustomStringConvertible {
    case unknown(_ what: String, _ name: String)
    case exists(_ what: String, _ name: String)
    case ambiguous(_ what: String, _ name: String)
    /// Of accounts and signers.
    case badName(String)
    case badPrefix
    /// A key that leaked has leaked for all its certificates.
    case keyWasRevoked(_ fingerprint: String)
    /// Of requests for accounts.
    case decided(_ number: Int)
    /// Of withdrawals.
    case cannotLift(_ number: Int, _ why: String)

    public var description: String {
        switch self {
        case .unknown(let what, let name): "there is no \(what) \(name)"
        case .exists(let what, let name): "there is \(what) \(name) already"
        case .ambiguous(let what, let name): "more than one \(what) begins with \(name)"
        case .badPrefix: "a key prefix can't be empty"
        case .keyWasRevoked(let fingerprint): "\(fingerprint), which is for the same key, is revoked"
        case .decided(let number): "request \(number) was decided already"
        case .cannotLift(let number, let why): "withdrawal \(number) can't be lifted: \(why)"
        case .badName(let name):
            "\(name) can't be a name: it takes up to 63 of a-z, 0-9, dot, dash and underscore, and begins with one of the first two"
        }
    }
}

/// The audit log of what operators and accounts change: each change is recorded in the transaction that makes it.
struct Audit {
    let session: Session

    /// Makes one change and records it, both or neither.
    @discardableResult
    func change<Result>(
        _ action: String, of subject: String, by actor: String, detail: String = "", _ body: () throws -> Result
    ) throws -> Result {
        try transaction(changing: subject) {
            let result = try body()
            try append(action, of: subject, by: actor, detail: detail)
            return result
        }
    }

    /// - Parameter subject: the name of the changed object.
    func append(_ action: String, of subject: String, by actor: String, detail: String) throws {
        try session.connection.run(
            """
            INSERT INTO shacache.audit (actor, action, subject, detail)
            VALUES (\(actor), \(action), \(subject), \(detail))
            """)
    }

    /// A transaction that maps violated constraints to `AdministrationError`.
    func transaction<Result>(changing subject: String, _ body: () throws -> Result) throws -> Result {
        do {
            return try session.connection.transaction(body)
        } catch let error as DatabaseError {
            switch error.constraint {
            case "account_name_is_a_word", "signer_name_is_a_word": throw AdministrationError.badName(subject)
            case "key_prefixes_are_not_empty": throw AdministrationError.badPrefix
            case "account_name_is_unique": throw AdministrationError.exists("an account", subject)
            case "signer_name_is_unique": throw AdministrationError.exists("a signer", subject)
            default: throw error
            }
        }
    }
}

extension Session {
    var audit: Audit { Audit(session: self) }
}
