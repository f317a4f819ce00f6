CREATE VIEW shacache.newest_survey AS
SELECT DISTINCT ON (host) id, host, at
FROM shacache.survey
WHERE at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
ORDER BY host, at DESC, id DESC;
COMMENT ON VIEW shacache.newest_survey IS
    'The newest survey of each host in the days from report.since to report.until.';
GRANT SELECT ON shacache.newest_survey TO shacache_worker;
