CREATE VIEW shacache.visible_entry AS
SELECT * FROM shacache.entry WHERE withdrawal_id IS NULL;
COMMENT ON VIEW shacache.visible_entry IS 'The entries that GET returns to nodes: not withdrawn.';

-- In order, and each blob is looked up by itself: so the first rows are found without reading the others.
CREATE VIEW shacache.entry_of_missing_blob AS
SELECT
    noted.created_at,
    noted.entry_id AS id,
    entry.key,
    entry.account_id,
    entry.signature_result,
    entry.signer_id,
    entry.sha512
FROM shacache.entry_before_blob AS noted
JOIN shacache.visible_entry AS entry ON entry.id = noted.entry_id
WHERE (NOT EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = entry.sha512)) IS TRUE
ORDER BY noted.created_at, noted.entry_id;
COMMENT ON VIEW shacache.entry_of_missing_blob IS
    'The visible entries whose blob was never uploaded, the oldest first.';

CREATE VIEW shacache.entry_of_withdrawn_blob AS
SELECT
    entry.created_at,
    entry.id,
    entry.key,
    entry.account_id,
    entry.signature_result,
    entry.signer_id,
    entry.sha512,
    greatest(entry.created_at, withdrawal.at) AS hidden_at
FROM shacache.withdrawal
JOIN shacache.blob ON blob.withdrawal_id = withdrawal.id
JOIN shacache.visible_entry AS entry ON entry.sha512 = blob.sha512;
COMMENT ON VIEW shacache.entry_of_withdrawn_blob IS 'The visible entries whose blob is hidden. hidden_at: since when.';

CREATE VIEW shacache.release_archive AS
SELECT
    entry.id AS entry_id,
    entry.created_at,
    entry.key,
    entry.sha512,
    entry.account_id,
    entry.software_url,
    archive.checked_at,
    archive.problem
FROM shacache.visible_entry AS entry
JOIN shacache.blob USING (sha512)
LEFT JOIN shacache.archive_check AS archive ON archive.sha512 = entry.sha512 AND archive.key = entry.key
WHERE blob.withdrawal_id IS NULL
    AND entry.software_url IS NOT NULL AND entry.multiarch IS NOT NULL AND entry.os IS NOT NULL
    AND entry.key ~ '^[0-9a-f]{32}$';
COMMENT ON VIEW shacache.release_archive IS
    'The entries that look like a compiled software release, with the check of their archives; checked_at NULL: none.';
GRANT SELECT ON shacache.release_archive TO shacache_admin;
