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
COMMENT ON COLUMN shacache.survey.free_bytes IS 'Available to processes without root''s reserve.';
COMMENT ON COLUMN shacache.survey.filesystem_inodes IS '0 on file systems that don''t count them.';

CREATE TABLE shacache.survey_kind (
    kind text PRIMARY KEY,
    position integer NOT NULL UNIQUE,
    is_finding boolean NOT NULL
);
COMMENT ON TABLE shacache.survey_kind IS
    'The kinds of a survey, in the order of the reports. dangling, the last, has no file.';
COMMENT ON COLUMN shacache.survey_kind.is_finding IS 'Each file or row of this kind needs attention.';
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
COMMENT ON TABLE shacache.survey_finding IS 'Files and rows that need attention: at most a hundred of each kind.';

GRANT SELECT, INSERT ON shacache.survey, shacache.survey_sum, shacache.survey_finding TO shacache_admin;
-- For the metrics.
GRANT SELECT ON shacache.survey, shacache.survey_sum TO shacache_worker;

-- The archives of the binary cache. A blob that doesn't match its entry fails at each node that trusts the entry, at
-- every run. Reading one takes long and a blob never changes, so `shacache-admin survey` reads each once.
CREATE TABLE shacache.archive_check (
    sha512 bytea NOT NULL,
    key text COLLATE "C" NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT now(),
    problem text,
    PRIMARY KEY (sha512, key),
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64),
    CONSTRAINT problem_says_something CHECK (problem <> '')
);
COMMENT ON TABLE shacache.archive_check IS
    'The blobs that were read as archives with a directory of the key''s name. problem: NULL when there was none.';
GRANT SELECT, INSERT ON shacache.archive_check TO shacache_admin;

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
    'Number of problems: accounts whose sums are wrong (maintain), lines that were unreadable (ingest-log).';
COMMENT ON COLUMN shacache.task_run.is_forgotten IS
    'The host was retired (shacache-admin host forget): its runs are not expected, until it runs something again.';
GRANT SELECT, INSERT, UPDATE (at, findings, is_forgotten) ON shacache.task_run TO shacache_admin;
GRANT SELECT ON shacache.task_run TO shacache_worker;
