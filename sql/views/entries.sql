CREATE VIEW shacache.visible_entry AS
SELECT * FROM shacache.entry WHERE withdrawal_id IS NULL;
COMMENT ON VIEW shacache.visible_entry IS 'What nodes are told.';

-- In order, and each blob looked for by itself: so the first ones are found without the others, however many there are.
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
COMMENT ON VIEW shacache.entry_of_missing_blob IS 'The visible entries whose blob nobody has uploaded, the oldest first.';

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
COMMENT ON VIEW shacache.entry_of_withdrawn_blob IS 'The visible entries whose blob is hidden, and since when they are without.';

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
    'The entries that look like a compiled software release, and what is known of their archives; checked_at NULL: nothing yet.';
GRANT SELECT ON shacache.release_archive TO shacache_admin;
