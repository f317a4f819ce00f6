import Postgres
public import ShaCache

/// What withdraws something: the actor, and the reason.
public struct Withdrawal: Sendable {
    public typealias Number = Int

    /// As the audit log names the actor.
    let actor: String
    /// nil for an operator at the server.
    let account: Account?
    let reason: Reason

    public init(by account: Account, reason: Reason) {
        self.init(actor: account.actor, account: account, reason: reason)
    }

    /// - Parameter actor: an operating system user.
    public init(by actor: String, reason: Reason) {
        self.init(actor: actor, account: nil, reason: reason)
    }

    private init(actor: String, account: Account?, reason: Reason) {
        (self.actor, self.account, self.reason) = (actor, account, reason)
    }

    /// Whether it may hide what others uploaded, and binds them. Otherwise it binds its own account alone.
    var isByOperator: Bool { account?.roles.contains(.operator) ?? true }

    /// The condition for rows that it may hide. What accounts hid themselves comes back with others' uploads; operators
    /// hide it for good.
    var hideable: SQL {
        isByOperator
            ? "(withdrawal_id IS NULL OR NOT shacache.is_operators(withdrawal_id))" : "withdrawal_id IS NULL"
    }

}

extension Account {
    /// As the audit log names it.
    var actor: String { "account:\(name)" }
}

enum WithdrawalTarget: String {
    case blob, entries
}

/// What came of it.
public struct WithdrawalResult: Sendable {
    public let number: Withdrawal.Number
    /// How many blobs or entries were hidden.
    public let count: Int
}

/// Something that is uploaded again, as the database has it.
///
/// No account can block a name for others by uploading and withdrawing it: what an account withdrew itself is visible
/// again as soon as another account uploads the same, and belongs to that one too.
struct ExistingUpload {
    /// Why it is hidden, though not from the account that uploads it now: another one had withdrawn what was its own.
    let withdrawal: Withdrawal.Number?

    /// - Parameter column: the withdrawal's number; then its reason, whether it is an operator's, and its account.
    /// - Throws: `Refusal.withdrawn` when a withdrawal binds this account.
    init(_ row: ResultRow, from column: Int, what: String, for account: Account?) throws(Refusal) {
        withdrawal = row.int(column)
        guard withdrawal != nil else { return }
        guard !row.bool(column + 2), let account, account.id != row.int(column + 3) else {
            throw .withdrawn(what, reason: row.text(column + 1)!)
        }
    }
}
