CREATE VIEW report.imports AS
SELECT
    'import-' || import.id AS request_id,
    import.started_at,
    import.finished_at,
    import.actor,
    account.name AS account,
    import.kind,
    shacache.without_credentials(import.source) AS source,
    import.blobs,
    import.bytes,
    import.entries,
    import.duplicates,
    import.absent,
    import.refused,
    shacache.without_credentials(import.problem) AS problem
FROM shacache.import
JOIN shacache.account ON account.id = import.account_id
WHERE import.started_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND import.started_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (report.account() IS NULL OR account.name = report.account())
ORDER BY import.started_at DESC, import.id DESC;
COMMENT ON COLUMN report.imports.request_id IS 'What report.upload has for each blob and entry of it.';
COMMENT ON COLUMN report.imports.finished_at IS 'Empty: it is under way, or was killed.';
COMMENT ON COLUMN report.imports.blobs IS 'This and the two columns after it are of what was stored.';
COMMENT ON COLUMN report.imports.duplicates IS 'Blobs and entries that the cache had already.';
COMMENT ON COLUMN report.imports.absent IS 'Blobs that an entry names and the source has not, and keys that it has not.';
COMMENT ON COLUMN report.imports.problem IS 'Why it ended before it was through.';
