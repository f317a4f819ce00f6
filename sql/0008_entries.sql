-- What would take long to find among all entries. A trigger writes it down in the transaction that stores an entry.
CREATE TABLE shacache.key_count (
    key text COLLATE "C" NOT NULL,
    entries bigint NOT NULL,
    last_at timestamptz NOT NULL
);
COMMENT ON TABLE shacache.key_count IS
    'How many entries stand under each key, withdrawn ones included, and since when it has got no more. None ever goes.';

CREATE TABLE shacache.entry_before_blob (
    created_at timestamptz NOT NULL,
    entry_id bigint NOT NULL,
    PRIMARY KEY (created_at, entry_id)
);
COMMENT ON TABLE shacache.entry_before_blob IS
    'The entries for which no blob was to be seen when they came. Whoever reads it looks whether one has come since. None '
    'that has no blob is left out, whatever commits at the same time: a blob that was seen stays, since its row never goes.';

CREATE FUNCTION shacache.note_entries() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Entries of one key come one after the other, by its lock: nobody is waited for here.
    INSERT INTO shacache.key_count AS known (key, entries, last_at)
    SELECT key, count(*), max(created_at) FROM added GROUP BY key ORDER BY key
    ON CONFLICT (key) DO UPDATE
    SET entries = known.entries + excluded.entries, last_at = greatest(known.last_at, excluded.last_at);
    INSERT INTO shacache.entry_before_blob (created_at, entry_id)
    SELECT created_at, id FROM added
    WHERE NOT EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = added.sha512);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION shacache.note_entries() FROM PUBLIC;
CREATE TRIGGER entries_are_noted AFTER INSERT ON shacache.entry REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION shacache.note_entries();

-- The trigger's lock lasts until the end of this migration: what is there is counted once.
INSERT INTO shacache.key_count (key, entries, last_at)
SELECT key, count(*), max(created_at) FROM shacache.entry GROUP BY key;
ALTER TABLE shacache.key_count ADD PRIMARY KEY (key);
CREATE INDEX key_count_by_entries ON shacache.key_count (entries DESC, key);
GRANT SELECT (entries) ON shacache.key_count TO shacache_worker;
INSERT INTO shacache.entry_before_blob (created_at, entry_id)
SELECT created_at, id FROM shacache.entry WHERE NOT EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = entry.sha512);

-- What shacache-admin maintain does: of them, those stay that are still without blob.
CREATE FUNCTION shacache.forget_entries_with_blob() RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    DELETE FROM shacache.entry_before_blob AS noted
    USING shacache.entry JOIN shacache.blob USING (sha512)
    WHERE entry.id = noted.entry_id;
END;
REVOKE ALL ON FUNCTION shacache.forget_entries_with_blob() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shacache.forget_entries_with_blob() TO shacache_admin;

-- In order, and each blob looked for by itself: so the first ones are found without the others, however many there are.
CREATE VIEW shacache.entry_of_missing_blob AS
SELECT
    noted.created_at,
    noted.entry_id AS id,
    entry.key,
    entry.account_id,
    entry.signature_result,
    entry.signer_id,
    entry.sha512
FROM shacache.entry_before_blob AS noted
JOIN shacache.visible_entry AS entry ON entry.id = noted.entry_id
WHERE (NOT EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = entry.sha512)) IS TRUE
ORDER BY noted.created_at, noted.entry_id;
COMMENT ON VIEW shacache.entry_of_missing_blob IS 'The visible entries whose blob nobody has uploaded, the oldest first.';

CREATE VIEW shacache.entry_of_withdrawn_blob AS
SELECT
    entry.created_at,
    entry.id,
    entry.key,
    entry.account_id,
    entry.signature_result,
    entry.signer_id,
    entry.sha512,
    greatest(entry.created_at, withdrawal.at) AS hidden_at
FROM shacache.withdrawal
JOIN shacache.blob ON blob.withdrawal_id = withdrawal.id
JOIN shacache.visible_entry AS entry ON entry.sha512 = blob.sha512;
COMMENT ON VIEW shacache.entry_of_withdrawn_blob IS 'The visible entries whose blob is hidden, and since when they are without.';
