-- What was fetched from other caches (the tables [[upstream]] of shacache.toml): the bytes are proven by their name, and no
-- account brought them.
CREATE TABLE shacache.upstream (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT upstream_is_once UNIQUE (name),
    CONSTRAINT name_is_not_empty CHECK (name <> '')
);
COMMENT ON TABLE shacache.upstream IS 'The caches from which something was fetched, by their names in shacache.toml.';
GRANT SELECT, INSERT ON shacache.upstream TO shacache_worker;
GRANT SELECT ON shacache.upstream TO shacache_admin, shacache_collector;

ALTER TABLE shacache.blob
    ALTER account_id DROP NOT NULL,
    ADD upstream_id bigint REFERENCES shacache.upstream,
    ADD CONSTRAINT blob_came_from_somewhere CHECK (account_id IS NOT NULL OR upstream_id IS NOT NULL);
CREATE INDEX blob_fetched ON shacache.blob (last_referenced_at, sha512) WHERE account_id IS NULL;
COMMENT ON COLUMN shacache.blob.account_id IS
    'The account that uploaded it first; NULL: none did, it was fetched, and counts for no account.';
COMMENT ON COLUMN shacache.blob.upstream_id IS
    'Where it was fetched from, also when an account uploaded it since; NULL: it was uploaded.';
ALTER TABLE shacache.trash
    ALTER account_id DROP NOT NULL,
    ADD upstream_id bigint REFERENCES shacache.upstream,
    ADD CONSTRAINT blob_came_from_somewhere CHECK (account_id IS NOT NULL OR upstream_id IS NOT NULL);
COMMENT ON COLUMN shacache.trash.upstream_id IS 'Of the blob, as in shacache.blob.';
