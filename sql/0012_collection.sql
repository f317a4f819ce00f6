-- What retention removes: `shacache-admin collect apply`, the only program that deletes, as the role of its own.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shacache_collector') THEN
        RAISE undefined_object USING MESSAGE =
            'the role shacache_collector is missing: a superuser of PostgreSQL runs roles.sql of this release, first';
    END IF;
    -- What is to go is worked out into temporary tables.
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO shacache_collector', current_database());
END
$$;
GRANT USAGE ON SCHEMA shacache TO shacache_collector;
GRANT SELECT ON shacache.migration, shacache.account, shacache.entry, shacache.blob, shacache.withdrawal,
    shacache.key_count, shacache.entry_before_blob, shacache.account_usage, shacache.upload, shacache.task_run
    TO shacache_collector;

-- An entry that a policy hides has a withdrawal of its own kind: nobody's, so that every upload of the same lifts it.
ALTER TABLE shacache.withdrawal
    ADD is_retention boolean NOT NULL DEFAULT false,
    ADD policy text,
    ADD removed_at timestamptz,
    DROP CONSTRAINT an_account_of_its_own_is_named,
    ADD CONSTRAINT an_account_of_its_own_is_named CHECK (is_operators OR account_id IS NOT NULL OR is_retention),
    ADD CONSTRAINT retention_binds_nobody CHECK (NOT (is_retention AND (is_operators OR account_id IS NOT NULL))),
    ADD CONSTRAINT only_retention_has_a_policy CHECK (policy IS NULL OR is_retention),
    ADD CONSTRAINT only_retention_removes CHECK (removed_at IS NULL OR is_retention);
CREATE INDEX withdrawal_by_retention ON shacache.withdrawal (policy, id)
    WHERE is_retention AND lifted_at IS NULL AND removed_at IS NULL;
COMMENT ON TABLE shacache.withdrawal IS
    'What was hidden, and why. Nothing is erased, and lifting it makes it visible again; but what retention hid is '
    'removed after the grace time.';
COMMENT ON COLUMN shacache.withdrawal.is_retention IS
    'A retention policy hid it: any account''s upload of the same ends it, and after the grace time it is removed.';
COMMENT ON COLUMN shacache.withdrawal.policy IS 'The name of that policy.';
COMMENT ON COLUMN shacache.withdrawal.at IS
    'Of retention, when it last hid something under this number: from then on the grace time counts.';
COMMENT ON COLUMN shacache.withdrawal.removed_at IS 'When all that it still hid was removed.';
-- In their order, so that a collection goes through what one hides page by page.
DROP INDEX shacache.entry_by_withdrawal;
CREATE INDEX entry_by_withdrawal ON shacache.entry (withdrawal_id, id) WHERE withdrawal_id IS NOT NULL;
GRANT INSERT, UPDATE (at, lifted_at, lifted_by, removed_at) ON shacache.withdrawal TO shacache_collector;
GRANT UPDATE (withdrawal_id), DELETE ON shacache.entry TO shacache_collector;
GRANT UPDATE (entries), DELETE ON shacache.key_count TO shacache_collector;
GRANT DELETE ON shacache.entry_before_blob TO shacache_collector;
GRANT INSERT ON shacache.audit TO shacache_collector;
COMMENT ON TABLE shacache.key_count IS
    'The number of entries of each key, withdrawn ones included, and when the last came. A collection, under the locks '
    'of the keys, takes those away that it deletes; last_at stays.';
COMMENT ON TABLE shacache.entry_before_blob IS
    'The entries whose blob had no row when they were stored; readers check whether it has one now. Invariant: each '
    'entry without blob is here, whatever commits concurrently, since the row of a blob is deleted only while no entry '
    'names it, and locked: an entry that comes meanwhile waits for that row, and then finds none.';

-- What is put again is as new as what is put: its policy keeps it as long.
ALTER TABLE shacache.entry ADD renewed_at timestamptz;
COMMENT ON COLUMN shacache.entry.renewed_at IS
    'When it was last put again, or restored, to an hour; NULL: not since retention came to be.';
GRANT UPDATE (renewed_at) ON shacache.entry TO shacache_worker, shacache_admin;

-- A blob is removed in two transactions: the first marks it, and every upload of it or of an entry that names it takes
-- the mark away.
ALTER TABLE shacache.blob ADD deleting_at timestamptz, ADD left_by text;
CREATE INDEX blob_being_deleted ON shacache.blob (sha512) WHERE deleting_at IS NOT NULL;
CREATE INDEX blob_left ON shacache.blob (sha512) WHERE left_by IS NOT NULL;
COMMENT ON COLUMN shacache.blob.deleting_at IS
    'Since when a collection is about to remove it. It is served until then, and stays when it is uploaded or named.';
COMMENT ON COLUMN shacache.blob.left_by IS
    'The retention policy that removed the last entry which named it; NULL: none did, or it came again since.';
-- Workers change both in record_blobs and record_entries alone. What is lifted counts as referenced.
GRANT UPDATE (last_referenced_at) ON shacache.blob TO shacache_admin;
GRANT INSERT, UPDATE (last_referenced_at, deleting_at, left_by), DELETE ON shacache.blob TO shacache_collector;
GRANT INSERT, UPDATE (blobs, bytes) ON shacache.account_usage TO shacache_collector;

CREATE TABLE shacache.collection (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    host text NOT NULL,
    actor text NOT NULL,
    problem text,
    hidden_entries bigint,
    hidden_blobs bigint,
    hidden_bytes bigint,
    trash_blobs bigint,
    trash_bytes bigint,
    CONSTRAINT problem_says_something CHECK (problem <> '')
);
COMMENT ON TABLE shacache.collection IS 'The runs of shacache-admin collect apply.';
COMMENT ON COLUMN shacache.collection.finished_at IS 'NULL: it is under way, or was killed.';
COMMENT ON COLUMN shacache.collection.problem IS 'Why it ended before it was through; NULL: it was through.';
COMMENT ON COLUMN shacache.collection.hidden_entries IS
    'This and the columns after it: what was hidden by retention, and what lay in trash, when it ended.';
COMMENT ON COLUMN shacache.collection.hidden_blobs IS 'Named by entries that retention hid, and by no visible one.';

CREATE TABLE shacache.collection_sum (
    collection_id bigint NOT NULL REFERENCES shacache.collection,
    policy text NOT NULL,
    withdrawal_id bigint REFERENCES shacache.withdrawal,
    hidden_entries bigint NOT NULL DEFAULT 0,
    removed_entries bigint NOT NULL DEFAULT 0,
    marked_blobs bigint NOT NULL DEFAULT 0,
    removed_blobs bigint NOT NULL DEFAULT 0,
    removed_bytes bigint NOT NULL DEFAULT 0,
    freed_blobs bigint NOT NULL DEFAULT 0,
    freed_bytes bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (collection_id, policy),
    CONSTRAINT counts_are_not_negative CHECK (
        least(hidden_entries, removed_entries, marked_blobs, removed_blobs, removed_bytes, freed_blobs, freed_bytes) >= 0
    )
);
COMMENT ON TABLE shacache.collection_sum IS
    'What each run did by each policy; written in the transactions that did it.';
COMMENT ON COLUMN shacache.collection_sum.withdrawal_id IS 'The number under which it hides entries.';
COMMENT ON COLUMN shacache.collection_sum.removed_blobs IS 'Out of readers'' sight, into trash.';
COMMENT ON COLUMN shacache.collection_sum.freed_blobs IS 'Out of trash: their bytes are gone.';

CREATE TABLE shacache.trash (
    sha512 bytea PRIMARY KEY,
    size bigint NOT NULL,
    account_id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    last_referenced_at timestamptz NOT NULL,
    is_shared boolean NOT NULL,
    policy text NOT NULL,
    removed_at timestamptz NOT NULL DEFAULT now(),
    moved_at timestamptz,
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64),
    CONSTRAINT size_is_not_negative CHECK (size >= 0)
);
CREATE INDEX trash_by_account ON shacache.trash (account_id);
CREATE INDEX trash_by_time ON shacache.trash (moved_at, sha512);
COMMENT ON TABLE shacache.trash IS
    'Blobs that a collection removed, and whose bytes are still there: they count for their accounts until they are gone.';
COMMENT ON COLUMN shacache.trash.moved_at IS
    'When the file came into the store''s directory trash. NULL: it lies where readers look, until the next step.';
COMMENT ON COLUMN shacache.trash.created_at IS 'Of the blob, as are last_referenced_at and is_shared.';

GRANT SELECT, INSERT, UPDATE (
    finished_at, problem, hidden_entries, hidden_blobs, hidden_bytes, trash_blobs, trash_bytes
) ON shacache.collection TO shacache_collector;
GRANT SELECT, INSERT, UPDATE (
    withdrawal_id, hidden_entries, removed_entries, marked_blobs, removed_blobs, removed_bytes, freed_blobs, freed_bytes
) ON shacache.collection_sum TO shacache_collector;
GRANT SELECT, INSERT, UPDATE, DELETE ON shacache.trash TO shacache_collector;
-- For the metrics, the counts and the checks.
GRANT SELECT ON shacache.collection, shacache.collection_sum, shacache.trash TO shacache_worker, shacache_admin;

ALTER TABLE shacache.task_run DROP CONSTRAINT task_is_known;
ALTER TABLE shacache.task_run
    ADD CONSTRAINT task_is_known CHECK (task IN ('maintain', 'survey', 'ingest-log', 'scrub', 'collect'));
GRANT INSERT, UPDATE (at, findings, is_forgotten) ON shacache.task_run TO shacache_collector;

-- Behind quarantined, as 0010 made room for that.
UPDATE shacache.survey_kind SET position = position + 100 WHERE position > 6;
UPDATE shacache.survey_kind SET position = position - 99 WHERE position > 100;
INSERT INTO shacache.survey_kind (kind, position, is_finding) VALUES ('trash', 7, false);
