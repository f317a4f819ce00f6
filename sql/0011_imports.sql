-- What was brought in from other caches, and by whom. The rows of the record that an import made have the request id
-- `import-N`, with its id.
CREATE TABLE shacache.import (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    actor text NOT NULL,
    account_id bigint NOT NULL REFERENCES shacache.account,
    kind text NOT NULL,
    source text NOT NULL,
    blobs bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    entries bigint NOT NULL DEFAULT 0,
    duplicates bigint NOT NULL DEFAULT 0,
    absent bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    problem text,
    CONSTRAINT kind_is_known CHECK (kind IN ('slapproxy', 'http', 'tree', 'exported')),
    CONSTRAINT counts_are_not_negative CHECK (least(blobs, bytes, entries, duplicates, absent, refused) >= 0),
    CONSTRAINT problem_says_something CHECK (problem <> '')
);
COMMENT ON TABLE shacache.import IS 'The runs of shacache-admin import. Counts are written when a run ends.';
COMMENT ON COLUMN shacache.import.finished_at IS 'NULL: it is under way, or was killed.';
COMMENT ON COLUMN shacache.import.actor IS 'An operating system user.';
COMMENT ON COLUMN shacache.import.account_id IS 'The account in whose name it was stored.';
COMMENT ON COLUMN shacache.import.problem IS 'Why it ended before it was through; NULL: it was through.';
GRANT SELECT, INSERT, UPDATE (finished_at, blobs, bytes, entries, duplicates, absent, refused, problem)
    ON shacache.import TO shacache_admin;

-- It stores as workers do, by the functions in sql/functions. Of an entry that another account has put, it notes that too.
GRANT UPDATE (is_shared) ON shacache.entry TO shacache_admin;
-- An export goes from key to key.
GRANT SELECT (key) ON shacache.key_count TO shacache_admin;
