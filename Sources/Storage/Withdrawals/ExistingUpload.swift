import Postgres
import ShaCache

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
