CREATE VIEW report.survey_findings AS
SELECT
    newest.host,
    newest.at AS surveyed_at,
    finding.kind,
    finding.name,
    finding.bytes,
    shacache.without_credentials(finding.detail) AS detail
FROM shacache.newest_survey AS newest
JOIN shacache.survey_finding AS finding ON finding.survey_id = newest.id
ORDER BY newest.host, finding.kind, finding.name;
COMMENT ON COLUMN report.survey_findings.name IS
    'Of a file: below the store''s directory. Of a row without file: its SHA-512.';
