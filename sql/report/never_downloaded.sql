CREATE VIEW report.never_downloaded AS
SELECT
    blob.size,
    date_trunc('second', now() - blob.created_at) AS age,
    blob.created_at,
    account.name AS account,
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
WHERE blob.withdrawal_id IS NULL
    AND NOT EXISTS (
        SELECT FROM shacache.blob_download AS download
        WHERE download.sha512 = blob.sha512 AND download.whole + download.partial > 0
    )
    AND blob.created_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND blob.created_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (report.account() IS NULL OR account.name = report.account())
ORDER BY blob.size DESC, blob.sha512;
COMMENT ON COLUMN report.never_downloaded.created_at IS 'What since and until are compared with.';
COMMENT ON COLUMN report.never_downloaded.account IS 'The account that uploaded it first; empty: it was fetched.';
COMMENT ON COLUMN report.never_downloaded.upstream IS 'Where it was fetched from.';
COMMENT ON COLUMN report.never_downloaded.entries IS
    'Number of visible entries that name it; first_key is the key of the oldest.';
