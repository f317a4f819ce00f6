import Postgres
import ShaCache

/// What a blob is, as its row says. The invariant, kept by `BlobRepository` alone: **a file lies where readers look if and
/// only if its row is visible**, but for what a crash leaves, which is harmless and healed.
///
///     state       row                       file
///     absent      none                      none
///     visible     withdrawal_id is NULL     blobs/3f/3f9a…
///     withdrawn   withdrawal_id is set      withdrawn/3f9a…
///
/// Each verb moves the file and the row in one transaction, under `LockOrder.blob`:
///
///     verb        from → to             order                                 a crash in between leaves, until
///     store       absent → visible      file, fsync(directory), row, COMMIT   a file without row: the next store, or a sweep
///     store       visible → visible     the same: its bytes heal the file     nothing
///     store       withdrawn → visible   the same, by another account than     the file seen though withdrawn: reconcile
///                                       the one that withdrew it
///     withdraw    visible → withdrawn   row, file, fsync(both), COMMIT        the file hidden though visible: reconcile, store
///     lift        withdrawn → visible   row, COMMIT, then the file            the same
///     reconcile   none                  the file goes where its row says      what was there before
///
/// A failure that isn't a crash is undone at once, by `hideFile` and `restoreFile`; where a COMMIT's outcome is unknown,
/// these ask the database.
enum BlobState {
    case absent, visible, withdrawn
}

extension BlobRepository {
    /// To be sure of it beyond this statement takes the blob's lock.
    func state(of digest: Digest) throws -> BlobState {
        let row = try connection.run("SELECT withdrawal_id IS NULL FROM shacache.blob WHERE sha512 = \(digest.bytes)")
            .first
        return row.map { $0.bool(0) ? .visible : .withdrawn } ?? .absent
    }
}
