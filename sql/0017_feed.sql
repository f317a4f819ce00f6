-- The feed (GET /-/feed): entries by their numbers and, among them in the same numbering, what was hidden and what was
-- shown again. An upload of an entry writes nothing for it.

CREATE TABLE shacache.visibility_change (
    number bigint PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    is_hidden boolean NOT NULL,
    entry_id bigint,
    key text COLLATE "C",
    digest bytea,
    sha512 bytea NOT NULL,
    CONSTRAINT an_entry_is_complete CHECK (num_nulls(entry_id, key, digest) IN (0, 3)),
    CONSTRAINT digest_is_sha256 CHECK (octet_length(digest) = 32),
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64)
);
COMMENT ON TABLE shacache.visibility_change IS
    'Each time that an entry or a blob was withdrawn, hidden by retention, or shown again. For those who follow the feed; '
    'who did it and why is in withdrawal and audit.';
COMMENT ON COLUMN shacache.visibility_change.number IS 'Of the sequence that numbers entries.';
COMMENT ON COLUMN shacache.visibility_change.is_hidden IS 'False: it is shown again.';
COMMENT ON COLUMN shacache.visibility_change.entry_id IS
    'This, key and digest are of the entry, also when that has been removed since; NULL: it was a blob.';
GRANT SELECT ON shacache.visibility_change TO shacache_worker, shacache_admin;
GRANT SELECT ON SEQUENCE shacache.entry_id_seq TO shacache_worker, shacache_admin;

CREATE TABLE shacache.feed_numbering (
    name uuid NOT NULL DEFAULT gen_random_uuid(),
    is_single boolean PRIMARY KEY DEFAULT true,
    CONSTRAINT there_is_one CHECK (is_single)
);
INSERT INTO shacache.feed_numbering DEFAULT VALUES;
COMMENT ON TABLE shacache.feed_numbering IS
    'The name of the feed''s numbering. A restored database has another one, since it may give numbers again that readers '
    'have seen on something else.';
GRANT SELECT ON shacache.feed_numbering TO shacache_worker, shacache_admin;

-- As whoever changes it: workers, operators and collections.
CREATE FUNCTION shacache.note_entry_visibility() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO shacache.visibility_change (number, is_hidden, entry_id, key, digest, sha512)
    VALUES (
        nextval('shacache.entry_id_seq'), NEW.withdrawal_id IS NOT NULL, NEW.id, NEW.key, NEW.digest, NEW.sha512);
    RETURN NULL;
END
$$;
CREATE FUNCTION shacache.note_blob_visibility() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO shacache.visibility_change (number, is_hidden, sha512)
    VALUES (nextval('shacache.entry_id_seq'), NEW.withdrawal_id IS NOT NULL, NEW.sha512);
    RETURN NULL;
END
$$;
-- hold_feed: functions/feed.sql. Once for a statement, since it takes a lock.
CREATE FUNCTION shacache.hold_feed_for_statement() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM shacache.hold_feed();
    RETURN NULL;
END
$$;
CREATE TRIGGER change_of_visibility_holds_feed BEFORE UPDATE OF withdrawal_id ON shacache.entry FOR EACH STATEMENT
    EXECUTE FUNCTION shacache.hold_feed_for_statement();
CREATE TRIGGER change_of_visibility_is_noted AFTER UPDATE OF withdrawal_id ON shacache.entry FOR EACH ROW
    WHEN ((OLD.withdrawal_id IS NULL) <> (NEW.withdrawal_id IS NULL))
    EXECUTE FUNCTION shacache.note_entry_visibility();
CREATE TRIGGER change_of_visibility_holds_feed BEFORE UPDATE OF withdrawal_id ON shacache.blob FOR EACH STATEMENT
    EXECUTE FUNCTION shacache.hold_feed_for_statement();
CREATE TRIGGER change_of_visibility_is_noted AFTER UPDATE OF withdrawal_id ON shacache.blob FOR EACH ROW
    WHEN ((OLD.withdrawal_id IS NULL) <> (NEW.withdrawal_id IS NULL))
    EXECUTE FUNCTION shacache.note_blob_visibility();
