CREATE VIEW report.near_cache AS
SELECT
    record.day,
    upstream.name AS upstream,
    record.downloads,
    record.sent_bytes,
    record.blobs AS fetched_blobs,
    record.bytes AS fetched_bytes,
    record.sent_bytes - record.bytes AS saved_bytes,
    record.keys AS fetched_keys,
    record.failures,
    record.faults,
    record.refused_pairs
FROM shacache.upstream_day AS record
JOIN shacache.upstream ON upstream.id = record.upstream_id
WHERE record.day >= coalesce((SELECT report.since()), '-infinity')
    AND record.day <= coalesce((SELECT report.until()), 'infinity')
ORDER BY record.day DESC, upstream.name;
COMMENT ON COLUMN report.near_cache.downloads IS 'Whole and partial ones by clients, of blobs that were fetched from there.';
COMMENT ON COLUMN report.near_cache.fetched_bytes IS 'Also of blobs that did not come to their ends, or were wrong.';
COMMENT ON COLUMN report.near_cache.saved_bytes IS
    'That clients were sent, and that did not have to come from there. Less than none: more came than was asked for.';
COMMENT ON COLUMN report.near_cache.failures IS 'Times that it gave nothing.';
COMMENT ON COLUMN report.near_cache.faults IS 'Times that it gave something wrong: report.upstream_faults has each.';
