CREATE VIEW report.usage AS
SELECT newest.host, newest.at AS surveyed_at, part.kind, part.files, part.bytes, part.allocated
FROM shacache.newest_survey AS newest
CROSS JOIN LATERAL (
    SELECT kind, files, bytes, allocated, position
    FROM shacache.survey_sum JOIN shacache.survey_kind USING (kind)
    WHERE survey_id = newest.id
    UNION ALL
    -- The total of all kinds before it.
    SELECT 'total', sum(files)::bigint, sum(bytes)::bigint, sum(allocated)::bigint,
        (SELECT max(position) - 1 FROM shacache.survey_kind)
    FROM shacache.survey_sum
    WHERE survey_id = newest.id AND kind <> 'dangling'
) AS part
ORDER BY newest.host, part.position;
COMMENT ON COLUMN report.usage.kind IS
    'referenced: a visible entry names it; arriving, orphan: without row, for less than a day or longer; total: all '
    'above it; dangling: rows without a file, not in the total.';
COMMENT ON COLUMN report.usage.allocated IS 'In bytes, in whole blocks. The total equals that of du.';
