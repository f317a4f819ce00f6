CREATE VIEW report.damaged_blobs AS
SELECT
    finding.found_at,
    encode(finding.sha512, 'hex') AS sha512,
    finding.problem,
    finding.bytes,
    finding.host,
    finding.is_quarantined,
    account.name AS account,
    (
        SELECT count(*) FROM shacache.entry
        WHERE entry.sha512 = finding.sha512 AND entry.withdrawal_id IS NULL
    ) AS entries,
    finding.healed_at,
    finding.healed_by
FROM shacache.scrub_finding AS finding
LEFT JOIN shacache.blob ON blob.sha512 = finding.sha512
LEFT JOIN shacache.account ON account.id = blob.account_id
WHERE finding.found_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND finding.found_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (report.account() IS NULL OR account.name = report.account())
ORDER BY finding.healed_at IS NOT NULL, finding.found_at DESC, finding.id DESC;
COMMENT ON COLUMN report.damaged_blobs.bytes IS 'Of the damaged file.';
COMMENT ON COLUMN report.damaged_blobs.is_quarantined IS 'False: the file could not be moved, and lies where it was.';
COMMENT ON COLUMN report.damaged_blobs.account IS 'Uploaded it first, and may do so again. Empty: it was never acknowledged.';
COMMENT ON COLUMN report.damaged_blobs.entries IS 'Visible ones that name it.';
COMMENT ON COLUMN report.damaged_blobs.healed_by IS 'What brought the right bytes back; empty: downloads are 404.';
