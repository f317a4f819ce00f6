CREATE VIEW report.accounts AS
SELECT
    account.name AS account,
    account.disabled_at,
    coalesce(stored.blobs, 0) AS stored_blobs,
    coalesce(stored.bytes, 0) AS stored_bytes,
    coalesce(total.uploads, 0) AS uploads,
    coalesce(total.accepted, 0) AS accepted,
    coalesce(total.refused, 0) AS refused,
    coalesce(total.failed, 0) AS failed,
    round(100.0 * total.refused / total.uploads, 1) AS refused_percent,
    coalesce(total.blobs, 0) AS blobs,
    coalesce(total.entries, 0) AS entries,
    coalesce(total.duplicates, 0) AS duplicates,
    coalesce(total.bytes, 0) AS bytes,
    coalesce(total.new_bytes, 0) AS new_bytes,
    total.last_at,
    account.roles,
    account.key_prefixes,
    account.bytes_limit,
    round(100.0 * stored.bytes / nullif(account.bytes_limit, 0), 1) AS bytes_limit_percent,
    account.blobs_limit,
    account.blob_size_limit,
    account.entries_per_day_limit,
    account.entries_per_key_limit,
    shacache.without_credentials(account.comment) AS comment
FROM shacache.account
LEFT JOIN (
    SELECT account_id, sum(blobs)::bigint AS blobs, sum(bytes) AS bytes FROM shacache.account_usage GROUP BY account_id
) AS stored ON stored.account_id = account.id
FULL JOIN (
    SELECT
        account_id,
        sum(uploads)::bigint AS uploads,
        sum(accepted)::bigint AS accepted,
        sum(refused)::bigint AS refused,
        sum(failed)::bigint AS failed,
        sum(blobs)::bigint AS blobs,
        sum(entries)::bigint AS entries,
        sum(duplicates)::bigint AS duplicates,
        sum(bytes) AS bytes,
        sum(new_bytes) AS new_bytes,
        max(last_at) AS last_at
    FROM shacache.asked_upload_figures
    GROUP BY account_id
) AS total ON total.account_id = account.id
WHERE report.account() IS NULL OR account.name = report.account()
ORDER BY bytes DESC, uploads DESC, account;
COMMENT ON COLUMN report.accounts.account IS 'Empty: requests that were not authenticated as an account.';
COMMENT ON COLUMN report.accounts.stored_bytes IS
    'Now, of the blobs that this account was the first to upload; what its limits count.';
COMMENT ON COLUMN report.accounts.bytes IS 'Of accepted uploads, duplicates included; new_bytes leaves those out.';
