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
    /// Of withdrawals.
    case cannotLift(_ number: Int, _ why: String)

    public var description: String {
        switch self {
        case .unknown(let what, let name): "there is no \(what) \(name)"
        case .exists(let what, let name): "there is \(what) \(name) already"
        case .ambiguous(let what, let name): "more than one \(what) begins with \(name)"
        case .badPrefix: "a key prefix can't be empty"
        case .keyWasRevoked(let fingerprint): "\(fingerprint), which is for the same key, is revoked"
        case .cannotLift(let number, let why): "withdrawal \(number) can't be lifted: \(why)"
        case .badName(let name):
            "\(name) can't be a name: it takes up to 63 of a-z, 0-9, dot, dash and underscore, and begins with one of the first two"
        }
    }
}

extension Catalog {
    /// Does one change and writes down who made it, both or neither.
    @discardableResult
    func change<Result>(
        by actor: String, _ action: String, _ subject: String, detail: String = "", _ body: () throws -> Result
    ) throws -> Result {
        try administering(subject) {
            let result = try body()
            try audit(actor, action, subject, detail)
            return result
        }
    }

    func audit(_ actor: String, _ action: String, _ subject: String, _ detail: String) throws {
        try connection.run(
            """
            INSERT INTO shacache.audit (actor, action, subject, detail)
            VALUES (\(actor), \(action), \(subject), \(detail))
            """)
    }

    /// A transaction whose errors are in an operator's terms.
    func administering<Result>(_ subject: String, _ body: () throws -> Result) throws -> Result {
        do {
            return try connection.transaction(body)
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
