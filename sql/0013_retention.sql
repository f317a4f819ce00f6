-- What decides what is kept: pins, and builders' questions whether something is there, which no access log has.

-- shacache-admin plans a collection in temporary tables.
DO $$
BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO shacache_admin, shacache_collector', current_database());
END
$$;

CREATE TABLE shacache.pin (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    reason text NOT NULL,
    key text COLLATE "C",
    entry_id bigint,
    sha512 bytea,
    software_url text,
    removed_at timestamptz,
    removed_by text,
    CONSTRAINT reason_is_a_line CHECK (reason <> '' AND reason !~ '[[:cntrl:]]' AND char_length(reason) <= 500),
    CONSTRAINT one_thing_is_pinned CHECK (num_nonnulls(key, entry_id, sha512, software_url) = 1),
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64),
    CONSTRAINT removed_is_complete CHECK ((removed_at IS NULL) = (removed_by IS NULL))
);
COMMENT ON TABLE shacache.pin IS
    'What no retention policy removes, and why: a key''s entries, an entry, a blob, or the entries of a software release. '
    'What is named need not be there yet.';
COMMENT ON COLUMN shacache.pin.actor IS 'An operating system user.';
COMMENT ON COLUMN shacache.pin.removed_at IS 'NULL: it holds.';
CREATE UNIQUE INDEX pin_is_held_once ON shacache.pin (key, entry_id, sha512, software_url) NULLS NOT DISTINCT
    WHERE removed_at IS NULL;
GRANT SELECT, INSERT, UPDATE (removed_at, removed_by) ON shacache.pin TO shacache_admin;

CREATE TABLE shacache.blob_question (
    sha512 bytea PRIMARY KEY,
    day date NOT NULL,
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64)
);
COMMENT ON TABLE shacache.blob_question IS
    'The last day (in UTC) on which a list (POST /-/have) asked for a blob that was there.';
CREATE TABLE shacache.key_question (
    key text COLLATE "C" PRIMARY KEY,
    day date NOT NULL
);
COMMENT ON TABLE shacache.key_question IS
    'The last day (in UTC) on which a list (POST /-/have) asked for a key that had visible entries.';
-- The same row is written again each day on which somebody asks: room for the new version beside the old one.
ALTER TABLE shacache.blob_question SET (fillfactor = 80);
ALTER TABLE shacache.key_question SET (fillfactor = 80);
GRANT SELECT ON shacache.blob_question, shacache.key_question TO shacache_admin, shacache_collector;
GRANT SELECT ON shacache.pin, shacache.signer, shacache.blob_download, shacache.key_lookup, shacache.download_day,
    shacache.log_position TO shacache_collector;
