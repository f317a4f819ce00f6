-- The sums are computed and sorted first; the other columns are looked up only for the rows that are shown.
CREATE VIEW report.downloaded_blobs AS
SELECT
    total.whole,
    total.partial,
    total.probes,
    total.bytes,
    total.first_day,
    total.last_day,
    blob.size,
    blob.account,
    (
        SELECT shacache.without_credentials(key) FROM shacache.visible_entry AS entry
        WHERE entry.sha512 = total.sha512 ORDER BY id LIMIT 1
    ) AS first_key,
    encode(total.sha512, 'hex') AS sha512
FROM (
    SELECT
        sha512,
        sum(whole)::bigint AS whole,
        sum(partial)::bigint AS partial,
        sum(probes)::bigint AS probes,
        sum(bytes)::bigint AS bytes,
        min(day) AS first_day,
        max(day) AS last_day
    FROM shacache.blob_download
    WHERE day >= coalesce((SELECT report.since()), '-infinity') AND day <= coalesce((SELECT report.until()), 'infinity')
    GROUP BY sha512
    ORDER BY sum(bytes)::bigint DESC, sum(whole)::bigint DESC, sha512
) AS total
LEFT JOIN LATERAL (
    SELECT size, (SELECT name FROM shacache.account WHERE id = account_id) AS account
    FROM shacache.blob WHERE blob.sha512 = total.sha512
    OFFSET 0
) AS blob ON true
WHERE report.account() IS NULL OR blob.account = report.account()
ORDER BY total.bytes DESC, total.whole DESC, total.sha512;
COMMENT ON COLUMN report.downloaded_blobs.account IS 'The account that uploaded it first.';
COMMENT ON COLUMN report.downloaded_blobs.size IS 'Empty when the database has no such blob.';
COMMENT ON COLUMN report.downloaded_blobs.first_key IS 'The key of the oldest visible entry that names it.';
