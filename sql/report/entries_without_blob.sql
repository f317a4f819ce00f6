CREATE VIEW report.entries_without_blob AS
SELECT
    date_trunc('second', now() - entry.created_at) AS age,
    entry.created_at,
    shacache.without_credentials(entry.key) AS key,
    account.name AS account,
    entry.signature_result AS signature,
    signer.name AS signer,
    entry.withdrawn,
    encode(entry.sha512, 'hex') AS sha512
FROM (
    SELECT *, false AS withdrawn FROM shacache.entry_of_missing_blob
    UNION ALL
    SELECT created_at, id, key, account_id, signature_result, signer_id, sha512, true FROM shacache.entry_of_withdrawn_blob
) AS entry
JOIN shacache.account ON account.id = entry.account_id
LEFT JOIN shacache.signer ON signer.id = entry.signer_id
WHERE entry.created_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND entry.created_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (
        report.account() IS NULL
        OR entry.account_id = (SELECT id FROM shacache.account WHERE name = report.account()))
ORDER BY entry.created_at, entry.id;
COMMENT ON COLUMN report.entries_without_blob.withdrawn IS 'The blob was there, and is hidden.';
