CREATE VIEW report.entries_with_credentials AS
SELECT
    entry.created_at,
    account.name AS account,
    shacache.without_credentials(entry.key) AS key,
    coalesce(shacache.urls_with_credentials(entry.metadata), shacache.urls_with_credentials(entry.key)) AS urls,
    entry.signature_result AS signature,
    signer.name AS signer,
    entry.withdrawal_id IS NOT NULL AS withdrawn,
    entry.id AS entry_id,
    encode(entry.sha512, 'hex') AS sha512
FROM shacache.entry
JOIN shacache.account ON account.id = entry.account_id
LEFT JOIN shacache.signer ON signer.id = entry.signer_id
WHERE (entry.metadata ~ '@|%40|\\u0040' OR entry.key ~ '@|%40|\\u0040')
    AND (
        shacache.urls_with_credentials(entry.metadata) IS NOT NULL
        OR shacache.urls_with_credentials(entry.key) IS NOT NULL)
    AND entry.created_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND entry.created_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (
        report.account() IS NULL
        OR entry.account_id = (SELECT id FROM shacache.account WHERE name = report.account()))
ORDER BY entry.created_at DESC, entry.id DESC;
COMMENT ON COLUMN report.entries_with_credentials.urls IS 'Without user and password: the key''s JSON has them.';
COMMENT ON COLUMN report.entries_with_credentials.withdrawn IS
    'Nodes don''t get it any more. Every client that downloaded it before has the password.';
