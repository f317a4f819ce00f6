CREATE VIEW report.withdrawals AS
SELECT
    withdrawal.id AS number,
    withdrawal.at,
    withdrawal.actor,
    account.name AS account,
    withdrawal.target,
    shacache.without_credentials(withdrawal.subject) AS subject,
    shacache.without_credentials(withdrawal.reason) AS reason,
    (SELECT count(*) FROM shacache.entry WHERE entry.withdrawal_id = withdrawal.id) AS hidden_entries,
    (SELECT count(*) FROM shacache.blob WHERE blob.withdrawal_id = withdrawal.id) AS hidden_blobs,
    (SELECT coalesce(sum(size), 0) FROM shacache.blob WHERE blob.withdrawal_id = withdrawal.id) AS hidden_bytes,
    withdrawal.lifted_at,
    withdrawal.lifted_by,
    withdrawal.policy,
    withdrawal.removed_at
FROM shacache.withdrawal
LEFT JOIN shacache.account ON account.id = withdrawal.account_id
WHERE withdrawal.at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND withdrawal.at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (report.account() IS NULL OR account.name = report.account())
ORDER BY withdrawal.at DESC, withdrawal.id DESC;
COMMENT ON COLUMN report.withdrawals.actor IS 'An operating system user with shacache-admin, or an account.';
COMMENT ON COLUMN report.withdrawals.account IS 'Empty when an operating system user did it.';
COMMENT ON COLUMN report.withdrawals.subject IS 'The hash, the key, or what else was named.';
COMMENT ON COLUMN report.withdrawals.hidden_entries IS
    'This and the two columns after it count what is hidden now: nothing when it was lifted.';
COMMENT ON COLUMN report.withdrawals.policy IS 'The retention policy that hid it; empty: no policy did.';
COMMENT ON COLUMN report.withdrawals.removed_at IS 'When a collection removed what a policy had hidden.';
