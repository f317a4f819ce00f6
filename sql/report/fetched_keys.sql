CREATE VIEW report.fetched_keys AS
SELECT
    shacache.key_without_credentials(known.key) AS key,
    upstream.name AS upstream,
    known.answered_at,
    (SELECT count(*) FROM shacache.fetched_entry AS listed WHERE listed.key = known.key) AS entries,
    known.bytes,
    known.refused_pairs,
    known.refusal
FROM shacache.fetched_key AS known
JOIN shacache.upstream ON upstream.id = known.upstream_id
WHERE known.answered_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND known.answered_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
ORDER BY known.answered_at DESC, known.key;
COMMENT ON COLUMN report.fetched_keys.answered_at IS 'When the upstream last said so.';
COMMENT ON COLUMN report.fetched_keys.bytes IS 'Of metadata and signatures.';
COMMENT ON COLUMN report.fetched_keys.refused_pairs IS 'Pairs of its list that would not be taken from a client either.';
COMMENT ON COLUMN report.fetched_keys.refusal IS 'Why the first of them is not.';
