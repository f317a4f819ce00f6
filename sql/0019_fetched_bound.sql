-- What bounds what was fetched: `shacache-admin collect fetched`, by [fetching] bytes of shacache.toml.
ALTER TABLE shacache.blob ADD used_at timestamptz;
COMMENT ON COLUMN shacache.blob.used_at IS
    'Of what was fetched: its place among what goes when there is too much of it, where that is later than '
    'last_referenced_at. The record of use is only asked when its turn has come; NULL: it never was.';
GRANT UPDATE (used_at) ON shacache.blob TO shacache_collector;
-- What is withdrawn can't go, and counts for nothing. The size is for the sum of all.
DROP INDEX shacache.blob_fetched;
CREATE INDEX blob_fetched ON shacache.blob (greatest(used_at, last_referenced_at), sha512) INCLUDE (size)
    WHERE account_id IS NULL AND withdrawal_id IS NULL;
-- By the name that retention policies can't have (FetchedBound.policy).
CREATE INDEX trash_fetched ON shacache.trash (moved_at, sha512) WHERE policy = '[fetching] bytes';

ALTER TABLE shacache.collection ADD is_of_fetched boolean NOT NULL DEFAULT false;
CREATE INDEX collection_of_fetched ON shacache.collection (host, started_at) WHERE is_of_fetched;
COMMENT ON COLUMN shacache.collection.is_of_fetched IS
    'Of all runs of shacache-admin collect fetched on a host and day (in UTC), which are very many.';
COMMENT ON TABLE shacache.collection IS 'The runs of shacache-admin collect apply, and the days of collect fetched.';

CREATE TABLE shacache.fetched_total (
    is_only boolean PRIMARY KEY DEFAULT true,
    at timestamptz NOT NULL DEFAULT now(),
    blobs bigint NOT NULL,
    bytes bigint NOT NULL,
    bytes_limit bigint,
    keys bigint NOT NULL,
    stale_keys bigint NOT NULL,
    outdated_keys bigint NOT NULL,
    CONSTRAINT there_is_one CHECK (is_only)
);
COMMENT ON TABLE shacache.fetched_total IS 'What was fetched, when shacache-admin collect fetched last looked.';
COMMENT ON COLUMN shacache.fetched_total.blobs IS 'Of no account, and not withdrawn. Also of bytes.';
COMMENT ON COLUMN shacache.fetched_total.bytes_limit IS 'NULL: there is none.';
COMMENT ON COLUMN shacache.fetched_total.stale_keys IS 'Of keys, those that lookups have the fetcher ask for again.';
COMMENT ON COLUMN shacache.fetched_total.outdated_keys IS 'Of keys, those that an upstream is asked for before they are listed.';
GRANT SELECT, INSERT, UPDATE (at, blobs, bytes, bytes_limit, keys, stale_keys, outdated_keys) ON shacache.fetched_total
    TO shacache_collector;
GRANT SELECT ON shacache.fetched_total TO shacache_worker, shacache_admin;

ALTER TABLE shacache.task_run
    DROP CONSTRAINT task_is_known,
    ADD CONSTRAINT task_is_known CHECK (
        task IN ('maintain', 'survey', 'ingest-log', 'scrub', 'collect', 'collect fetched', 'backup'));
