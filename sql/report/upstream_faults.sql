CREATE VIEW report.upstream_faults AS
SELECT
    fault.last_at,
    upstream.name AS upstream,
    fault.reason,
    fault.times,
    fault.first_at,
    encode(fault.sha512, 'hex') AS sha512,
    shacache.key_without_credentials(fault.key) AS key,
    shacache.without_credentials(fault.detail) AS detail
FROM shacache.upstream_fault AS fault
JOIN shacache.upstream ON upstream.id = fault.upstream_id
WHERE fault.last_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND fault.last_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
ORDER BY fault.last_at DESC, fault.id DESC;
COMMENT ON COLUMN report.upstream_faults.times IS 'The same of the same blob or key, since first_at.';
COMMENT ON COLUMN report.upstream_faults.detail IS 'Of the last time.';
