CREATE VIEW report.collections AS
SELECT
    collection.id AS number,
    collection.started_at,
    collection.finished_at,
    collection.host,
    collection.actor,
    sum.policy,
    sum.withdrawal_id AS withdrawal,
    coalesce(sum.hidden_entries, 0) AS hidden_entries,
    coalesce(sum.removed_entries, 0) AS removed_entries,
    coalesce(sum.removed_blobs, 0) AS removed_blobs,
    coalesce(sum.removed_bytes, 0) AS removed_bytes,
    coalesce(sum.freed_blobs, 0) AS freed_blobs,
    coalesce(sum.freed_bytes, 0) AS freed_bytes,
    shacache.without_credentials(collection.problem) AS problem
FROM shacache.collection
LEFT JOIN shacache.collection_sum AS sum ON sum.collection_id = collection.id
WHERE collection.started_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND collection.started_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
ORDER BY collection.started_at DESC, collection.id DESC, sum.policy;
COMMENT ON COLUMN report.collections.finished_at IS 'Empty: it is under way, or was killed; the next one goes on.';
COMMENT ON COLUMN report.collections.policy IS 'A line for each policy by which it did something.';
COMMENT ON COLUMN report.collections.withdrawal IS 'The number by which what it hid is lifted, within the grace time.';
COMMENT ON COLUMN report.collections.removed_entries IS 'Those that an earlier one had hidden, when the grace time was over.';
COMMENT ON COLUMN report.collections.removed_blobs IS 'Into trash.';
COMMENT ON COLUMN report.collections.freed_blobs IS 'Out of trash: their bytes are gone, and given back to their accounts.';
COMMENT ON COLUMN report.collections.problem IS 'Why it ended before it was through, or what it could not do.';
