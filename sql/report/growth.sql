-- Of every blob and entry that was stored, one upload was accepted that was no duplicate.
CREATE VIEW report.growth AS
SELECT day, blobs, bytes, total_blobs, total_bytes, entries, total_entries
FROM (
    SELECT
        day,
        blobs,
        bytes,
        sum(blobs) OVER by_day::bigint AS total_blobs,
        sum(bytes) OVER by_day AS total_bytes,
        entries,
        sum(entries) OVER by_day::bigint AS total_entries
    FROM (
        SELECT
            day,
            coalesce(sum(accepted - duplicates) FILTER (WHERE target = 'blob'), 0)::bigint AS blobs,
            coalesce(sum(new_bytes) FILTER (WHERE target = 'blob'), 0) AS bytes,
            coalesce(sum(accepted - duplicates) FILTER (WHERE target = 'entry'), 0)::bigint AS entries
        FROM shacache.upload_figures
        GROUP BY day
    ) AS each_day
    WINDOW by_day AS (ORDER BY day)
) AS running
WHERE day >= coalesce((SELECT report.since()), '-infinity') AND day <= coalesce((SELECT report.until()), 'infinity')
ORDER BY day DESC;
COMMENT ON COLUMN report.growth.blobs IS 'New on that day. What was withdrawn since counts too: it lies on the disk.';
COMMENT ON COLUMN report.growth.total_blobs IS
    'This and the other totals are of all days until the end of this one, also of those before since.';
