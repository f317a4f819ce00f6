CREATE VIEW report.pins AS
SELECT
    pin.id AS number,
    pin.at,
    pin.actor,
    shacache.without_credentials(pin.reason) AS reason,
    shacache.key_without_credentials(pin.key) AS key,
    pin.entry_id AS entry,
    encode(pin.sha512, 'hex') AS sha512,
    shacache.without_credentials(pin.software_url) AS software_release,
    pin.removed_at,
    pin.removed_by
FROM shacache.pin
WHERE pin.at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND pin.at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
ORDER BY pin.removed_at DESC NULLS FIRST, pin.at DESC, pin.id DESC;
COMMENT ON COLUMN report.pins.key IS 'One of this and the three columns after it says what is pinned.';
COMMENT ON COLUMN report.pins.removed_at IS 'Empty: it holds.';
