-- What a list found. Best effort: it waits for no disk, nor long for another session that notes the same.
CREATE OR REPLACE FUNCTION shacache.note_use(blobs bytea[], keys text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    IF current_setting('transaction_read_only')::boolean THEN
        RETURN;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '1s', true);
    -- In the order of the index, so that lists of the same names can't deadlock.
    INSERT INTO shacache.blob_question AS known (sha512, day)
    SELECT DISTINCT asked, today FROM unnest(blobs) AS asked
    WHERE NOT EXISTS (SELECT FROM shacache.blob_question AS noted WHERE noted.sha512 = asked AND noted.day >= today)
    ORDER BY asked
    ON CONFLICT (sha512) DO UPDATE SET day = excluded.day WHERE known.day < excluded.day;
    INSERT INTO shacache.key_question AS known (key, day)
    SELECT DISTINCT asked COLLATE "C", today FROM unnest(keys) AS asked
    WHERE NOT EXISTS (SELECT FROM shacache.key_question AS noted WHERE noted.key = asked AND noted.day >= today)
    ORDER BY 1
    ON CONFLICT (key) DO UPDATE SET day = excluded.day WHERE known.day < excluded.day;
END
$$;
COMMENT ON FUNCTION shacache.note_use(bytea[], text[]) IS
    'Notes that a list asked for these blobs and keys today, and that they were there. Nothing on a standby.';
REVOKE ALL ON FUNCTION shacache.note_use(bytea[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shacache.note_use(bytea[], text[]) TO shacache_worker;
