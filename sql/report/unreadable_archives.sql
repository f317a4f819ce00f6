CREATE VIEW report.unreadable_archives AS
SELECT
    coalesce(release.problem, 'not read yet') AS problem,
    release.key,
    shacache.url_without_credentials(release.software_url) AS software_url,
    (SELECT name FROM shacache.account WHERE id = release.account_id) AS account,
    release.created_at,
    release.checked_at,
    release.entry_id,
    encode(release.sha512, 'hex') AS sha512
FROM shacache.release_archive AS release
WHERE (release.problem IS NOT NULL OR release.checked_at IS NULL)
    AND release.created_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND release.created_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (
        report.account() IS NULL
        OR release.account_id = (SELECT id FROM shacache.account WHERE name = report.account()))
ORDER BY release.checked_at IS NULL, release.created_at DESC, release.entry_id DESC;
COMMENT ON COLUMN report.unreadable_archives.problem IS 'not read yet: one of the next surveys reads it.';
