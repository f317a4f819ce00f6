-- What lies on the disk, as `shacache-admin survey` found it.
CREATE TABLE shacache.survey (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at timestamptz NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    host text NOT NULL,
    filesystem_bytes bigint NOT NULL,
    free_bytes bigint NOT NULL,
    filesystem_inodes bigint NOT NULL,
    free_inodes bigint NOT NULL
);
CREATE INDEX survey_by_host ON shacache.survey (host, at);
COMMENT ON TABLE shacache.survey IS 'Surveys of a store. They stay, so that the growth of what it takes can be shown.';
COMMENT ON COLUMN shacache.survey.free_bytes IS 'For others than root.';
COMMENT ON COLUMN shacache.survey.filesystem_inodes IS '0 on file systems that don''t count them.';

CREATE TABLE shacache.survey_kind (
    kind text PRIMARY KEY,
    position integer NOT NULL UNIQUE,
    is_finding boolean NOT NULL
);
COMMENT ON TABLE shacache.survey_kind IS 'What a survey tells apart, in the order of the reports. dangling, the last, lies nowhere.';
COMMENT ON COLUMN shacache.survey_kind.is_finding IS 'Somebody should look at each.';
INSERT INTO shacache.survey_kind (kind, position, is_finding) VALUES
    ('referenced', 1, false), ('unreferenced', 2, false), ('withdrawn', 3, false), ('exposed', 4, true),
    ('damaged', 5, true), ('arriving', 6, false), ('orphan', 7, true), ('temporary', 8, false), ('unknown', 9, true),
    ('directory', 10, false), ('dangling', 12, true);

CREATE TABLE shacache.survey_sum (
    survey_id bigint NOT NULL REFERENCES shacache.survey,
    kind text NOT NULL CONSTRAINT kind_is_known REFERENCES shacache.survey_kind,
    files bigint NOT NULL,
    bytes bigint NOT NULL,
    allocated bigint NOT NULL,
    PRIMARY KEY (survey_id, kind)
);
COMMENT ON COLUMN shacache.survey_sum.allocated IS 'In bytes: what the disk gave, which is whole blocks.';

CREATE TABLE shacache.survey_finding (
    survey_id bigint NOT NULL REFERENCES shacache.survey,
    kind text NOT NULL,
    name text NOT NULL,
    bytes bigint NOT NULL,
    detail text NOT NULL
);
CREATE INDEX survey_finding_by_survey ON shacache.survey_finding (survey_id);
COMMENT ON TABLE shacache.survey_finding IS 'What somebody should look at. No more than a hundred of each kind are named.';

GRANT SELECT, INSERT ON shacache.survey, shacache.survey_sum, shacache.survey_finding TO shacache_admin;

CREATE TABLE shacache.task_run (
    task text NOT NULL,
    host text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    findings bigint NOT NULL,
    is_forgotten boolean NOT NULL DEFAULT false,
    PRIMARY KEY (task, host),
    CONSTRAINT task_is_known CHECK (task IN ('maintain', 'survey', 'ingest-log')),
    CONSTRAINT findings_are_not_negative CHECK (findings >= 0)
);
COMMENT ON TABLE shacache.task_run IS
    'When each command that timers run last succeeded on a host, whether or not there was anything to do.';
COMMENT ON COLUMN shacache.task_run.findings IS
    'What somebody should look at: accounts whose sums are wrong (maintain), lines that were unreadable (ingest-log).';
COMMENT ON COLUMN shacache.task_run.is_forgotten IS
    'The host was taken away (shacache-admin host forget): nobody misses it, until it runs something again.';
GRANT SELECT, INSERT, UPDATE (at, findings, is_forgotten) ON shacache.task_run TO shacache_admin;

-- For the metrics: whether timers do their work, and what they found.
GRANT SELECT ON shacache.task_run, shacache.download_day, shacache.survey, shacache.survey_sum TO shacache_worker;

CREATE VIEW shacache.newest_survey AS
SELECT DISTINCT ON (host) id, host, at
FROM shacache.survey
WHERE at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
ORDER BY host, at DESC, id DESC;
COMMENT ON VIEW shacache.newest_survey IS 'Of each host, as far as it was surveyed in the days that are asked for.';
GRANT SELECT ON shacache.newest_survey TO shacache_worker;

CREATE VIEW report.usage AS
SELECT newest.host, newest.at AS surveyed_at, part.kind, part.files, part.bytes, part.allocated
FROM shacache.newest_survey AS newest
CROSS JOIN LATERAL (
    SELECT kind, files, bytes, allocated, position
    FROM shacache.survey_sum JOIN shacache.survey_kind USING (kind)
    WHERE survey_id = newest.id
    UNION ALL
    -- Of all kinds before it.
    SELECT 'total', sum(files)::bigint, sum(bytes)::bigint, sum(allocated)::bigint, 11
    FROM shacache.survey_sum
    WHERE survey_id = newest.id AND kind <> 'dangling'
) AS part
ORDER BY newest.host, part.position;
COMMENT ON VIEW report.usage IS
    'What lies on the disk, as far as the newest survey of each host knows? Obeys since, until (in the survey).';
COMMENT ON COLUMN report.usage.kind IS
    'referenced: a visible entry names it; arriving, orphan: without row, for less than a day or longer; total: all above '
    'it; dangling: rows without a file, not in the total.';
COMMENT ON COLUMN report.usage.allocated IS 'In bytes, in whole blocks. The total is what du says.';

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
COMMENT ON VIEW report.surveys IS 'How does the disk fill? Obeys since, until.';
COMMENT ON COLUMN report.surveys.allocated IS 'In bytes, in whole blocks.';
COMMENT ON COLUMN report.surveys.referenced_bytes IS 'Of blobs that visible entries name.';
COMMENT ON COLUMN report.surveys.findings IS 'Files and rows that somebody should look at: report.survey_findings names them.';
COMMENT ON COLUMN report.surveys.free_bytes IS 'For others than root.';

CREATE VIEW report.survey_findings AS
SELECT newest.host, newest.at AS surveyed_at, finding.kind, finding.name, finding.bytes, finding.detail
FROM shacache.newest_survey AS newest
JOIN shacache.survey_finding AS finding ON finding.survey_id = newest.id
ORDER BY newest.host, finding.kind, finding.name;
COMMENT ON VIEW report.survey_findings IS 'Which files and rows should somebody look at? Obeys since, until (in the survey).';
COMMENT ON COLUMN report.survey_findings.name IS 'Of a file: below the store''s directory. Of a row without file: its SHA-512.';

REVOKE ALL ON report.usage, report.surveys, report.survey_findings FROM PUBLIC;
GRANT SELECT ON report.usage, report.surveys, report.survey_findings TO shacache_report;
