-- The other columns are looked up only for the rows that are shown.
CREATE VIEW report.keys AS
SELECT
    shacache.without_credentials(counted.key) AS key,
    counted.entries,
    detail.withdrawn,
    detail.accounts,
    detail.blobs,
    detail.bytes,
    detail.first_at,
    counted.last_at
FROM (
    -- In order, so that the first ones are found without the others.
    (SELECT key, entries, last_at FROM shacache.key_count WHERE report.account() IS NULL ORDER BY entries DESC, key)
    UNION ALL
    SELECT key, entries, last_at
    FROM shacache.key_count
    JOIN (
        SELECT DISTINCT key FROM shacache.entry
        WHERE account_id = (SELECT id FROM shacache.account WHERE name = report.account())
    ) AS own USING (key)
    WHERE report.account() IS NOT NULL
) AS counted
CROSS JOIN LATERAL (
    SELECT
        count(withdrawal_id) AS withdrawn,
        count(DISTINCT account_id) AS accounts,
        count(DISTINCT sha512) AS blobs,
        sum(octet_length(metadata) + octet_length(signature)) AS bytes,
        min(created_at) AS first_at
    FROM shacache.entry
    WHERE entry.key = counted.key
) AS detail
WHERE counted.last_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND counted.last_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
ORDER BY counted.entries DESC, counted.key;
COMMENT ON COLUMN report.keys.entries IS 'Withdrawn ones included, which the limit does not count.';
COMMENT ON COLUMN report.keys.bytes IS 'Of the metadata and signatures, as stored.';
