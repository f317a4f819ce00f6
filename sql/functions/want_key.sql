-- Best effort, like note_use: it waits for no disk, nor for another session that notes the same.
CREATE OR REPLACE FUNCTION shacache.want_key(wanted text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('transaction_read_only')::boolean THEN
        RETURN;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE shacache.fetched_key SET wanted_at = now()
    WHERE key = (
        SELECT key FROM shacache.fetched_key WHERE key = wanted AND wanted_at IS NULL FOR NO KEY UPDATE SKIP LOCKED);
END
$$;
COMMENT ON FUNCTION shacache.want_key(text) IS
    'Notes that the fetcher is to ask for a key again, unless that is noted. Nothing on a standby.';
REVOKE ALL ON FUNCTION shacache.want_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shacache.want_key(text) TO shacache_worker;
