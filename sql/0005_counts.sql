-- What would take long to count or to find: kept up to date in the transaction that stores a blob or an entry.

-- An account's uploads run side by side: each session adds to one of several rows, so that none waits for another's
-- commit. Their sum counts.
CREATE TABLE shacache.account_usage (
    account_id bigint NOT NULL REFERENCES shacache.account,
    shard smallint NOT NULL,
    blobs bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (account_id, shard)
);
COMMENT ON TABLE shacache.account_usage IS
    'What each account has stored, as far as it was the first to upload it; written in the transaction that stores it.';
GRANT SELECT, INSERT, UPDATE (blobs, bytes) ON shacache.account_usage TO shacache_worker, shacache_admin;

CREATE TABLE shacache.key_count (
    key text COLLATE "C" PRIMARY KEY,
    entries bigint NOT NULL,
    last_at timestamptz NOT NULL
);
CREATE INDEX key_count_by_entries ON shacache.key_count (entries DESC, key);
COMMENT ON TABLE shacache.key_count IS
    'The number of entries of each key, withdrawn ones included, and when the last came. Entries are never deleted.';
GRANT SELECT (entries) ON shacache.key_count TO shacache_worker;

CREATE TABLE shacache.entry_before_blob (
    created_at timestamptz NOT NULL,
    entry_id bigint NOT NULL,
    PRIMARY KEY (created_at, entry_id)
);
COMMENT ON TABLE shacache.entry_before_blob IS
    'The entries whose blob had no row when they were stored; readers check whether it has one now. Invariant: each '
    'entry without blob is here, whatever commits concurrently, since the row of a blob is never deleted.';
