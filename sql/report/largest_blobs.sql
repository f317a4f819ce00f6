-- The other columns are looked up only for the rows that are shown.
CREATE VIEW report.largest_blobs AS
SELECT
    blob.size AS bytes,
    account.name AS account,
    blob.created_at,
    blob.last_referenced_at,
    blob.withdrawal_id IS NOT NULL AS withdrawn,
    (SELECT count(*) FROM shacache.visible_entry AS entry WHERE entry.sha512 = blob.sha512) AS entries,
    (
        SELECT shacache.without_credentials(key) FROM shacache.visible_entry AS entry
        WHERE entry.sha512 = blob.sha512 ORDER BY id LIMIT 1
    ) AS first_key,
    encode(blob.sha512, 'hex') AS sha512,
    upstream.name AS upstream
FROM shacache.blob
LEFT JOIN shacache.account ON account.id = blob.account_id
LEFT JOIN shacache.upstream ON upstream.id = blob.upstream_id
WHERE report.account() IS NULL OR account.name = report.account()
ORDER BY blob.size DESC, blob.sha512;
COMMENT ON COLUMN report.largest_blobs.account IS 'The account that uploaded it first; empty: it was fetched.';
COMMENT ON COLUMN report.largest_blobs.upstream IS 'Where it was fetched from.';
COMMENT ON COLUMN report.largest_blobs.withdrawn IS 'It is hidden; its bytes lie on the disk nevertheless.';
COMMENT ON COLUMN report.largest_blobs.entries IS
    'Number of visible entries that name it; first_key is the key of the oldest.';
