-- Which bytes were read again, and what was damaged: `shacache-admin scrub`. Progress is kept by shelf: a row for each
-- blob would be written again each week.
CREATE TABLE shacache.scrub_shelf (
    shelf smallint PRIMARY KEY,
    added_at timestamptz NOT NULL DEFAULT now(),
    host text COLLATE "C",
    started_at timestamptz,
    position bytea,
    finished_at timestamptz,
    files bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    CONSTRAINT shelf_is_known CHECK (shelf BETWEEN 0 AND 256),
    CONSTRAINT position_is_sha512 CHECK (octet_length(position) = 64),
    CONSTRAINT position_is_of_a_round CHECK (position IS NULL OR started_at IS NOT NULL)
);
COMMENT ON TABLE shacache.scrub_shelf IS
    'The directories of the one store that all hosts of this database share: blobs/00 to blobs/ff, and 256, withdrawn.';
COMMENT ON COLUMN shacache.scrub_shelf.host IS 'The last that read it, or that reads it now.';
COMMENT ON COLUMN shacache.scrub_shelf.started_at IS 'Of the round that is not finished yet; NULL: there is none.';
COMMENT ON COLUMN shacache.scrub_shelf.position IS 'The last blob that was read in that round, in the order of digests.';
COMMENT ON COLUMN shacache.scrub_shelf.finished_at IS 'When the last whole round ended; NULL: there was none.';
COMMENT ON COLUMN shacache.scrub_shelf.bytes IS 'Read in all rounds, as are the files.';
INSERT INTO shacache.scrub_shelf (shelf) SELECT generate_series(0, 256);
GRANT SELECT, UPDATE (host, started_at, position, finished_at, files, bytes) ON shacache.scrub_shelf TO shacache_admin;

CREATE TABLE shacache.scrub_finding (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha512 bytea NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    host text NOT NULL,
    bytes bigint NOT NULL,
    problem text NOT NULL,
    is_quarantined boolean NOT NULL,
    healed_at timestamptz,
    healed_by text,
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64),
    CONSTRAINT problem_says_something CHECK (problem <> ''),
    CONSTRAINT healed_is_complete CHECK ((healed_at IS NULL) = (healed_by IS NULL))
);
CREATE UNIQUE INDEX scrub_finding_is_open_once ON shacache.scrub_finding (sha512) WHERE healed_at IS NULL;
CREATE INDEX scrub_finding_by_time ON shacache.scrub_finding (found_at);
COMMENT ON TABLE shacache.scrub_finding IS 'Files whose bytes were not those of their names, or could not be read.';
COMMENT ON COLUMN shacache.scrub_finding.bytes IS 'Of the damaged file.';
COMMENT ON COLUMN shacache.scrub_finding.is_quarantined IS
    'The file lies in the store''s directory quarantine. False: it could not be moved, and lies where it was.';
COMMENT ON COLUMN shacache.scrub_finding.healed_by IS
    'What brought the right bytes back; NULL: nothing has, and downloads of the blob are 404.';
GRANT SELECT, INSERT, UPDATE (host, bytes, problem, is_quarantined, healed_at, healed_by) ON shacache.scrub_finding
    TO shacache_admin;
-- For the metrics.
GRANT SELECT ON shacache.scrub_shelf, shacache.scrub_finding TO shacache_worker;

ALTER TABLE shacache.task_run DROP CONSTRAINT task_is_known;
ALTER TABLE shacache.task_run
    ADD CONSTRAINT task_is_known CHECK (task IN ('maintain', 'survey', 'ingest-log', 'scrub'));

-- Behind damaged: 12 is the total's (sql/report/usage.sql). In two steps, since a position is unique.
UPDATE shacache.survey_kind SET position = position + 100 WHERE position > 5;
UPDATE shacache.survey_kind SET position = position - 99 WHERE position > 100;
INSERT INTO shacache.survey_kind (kind, position, is_finding) VALUES ('quarantined', 6, false);
