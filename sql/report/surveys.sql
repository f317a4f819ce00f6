CREATE VIEW report.surveys AS
SELECT
    survey.at,
    survey.host,
    total.files,
    total.bytes,
    total.allocated,
    total.referenced_bytes,
    total.findings,
    survey.filesystem_bytes,
    survey.free_bytes,
    survey.filesystem_inodes,
    survey.free_inodes,
    date_trunc('second', survey.at - survey.started_at) AS duration
FROM shacache.survey
JOIN (
    SELECT
        survey_id,
        sum(files) FILTER (WHERE kind <> 'dangling')::bigint AS files,
        sum(bytes) FILTER (WHERE kind <> 'dangling')::bigint AS bytes,
        sum(allocated)::bigint AS allocated,
        sum(bytes) FILTER (WHERE kind = 'referenced')::bigint AS referenced_bytes,
        sum(files) FILTER (WHERE is_finding)::bigint AS findings
    FROM shacache.survey_sum JOIN shacache.survey_kind USING (kind)
    GROUP BY survey_id
) AS total ON total.survey_id = survey.id
WHERE survey.at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND survey.at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
ORDER BY survey.at DESC, survey.host;
COMMENT ON COLUMN report.surveys.allocated IS 'In bytes, in whole blocks.';
COMMENT ON COLUMN report.surveys.referenced_bytes IS 'Of blobs that visible entries name.';
COMMENT ON COLUMN report.surveys.findings IS 'Files and rows that need attention: report.survey_findings names them.';
COMMENT ON COLUMN report.surveys.free_bytes IS 'Available to processes without root''s reserve.';
