-- What an upstream gave and has withdrawn since. Nothing that was put here depends on it, and it can be fetched again.
CREATE OR REPLACE FUNCTION shacache.drop_fetched(hash bytea, upstream_name text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
    -- An entry that names it waits for this row, and then finds none (entry_before_blob).
    PERFORM FROM shacache.blob WHERE sha512 = hash FOR UPDATE;
    -- In a statement of its own, which sees what was committed before.
    DELETE FROM shacache.blob USING shacache.upstream
    WHERE blob.sha512 = hash AND upstream.id = upstream_id AND upstream.name = upstream_name
        AND account_id IS NULL AND withdrawal_id IS NULL
        AND NOT EXISTS (SELECT FROM shacache.entry WHERE entry.sha512 = hash);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO shacache.audit (actor, action, subject, detail)
    VALUES ('upstream:' || upstream_name, 'blob drop', encode(hash, 'hex'), 'withdrawn where it was fetched from');
    RETURN true;
END
$$;
COMMENT ON FUNCTION shacache.drop_fetched(bytea, text) IS
    'Deletes the row of a blob that was fetched from that upstream, under its lock, and returns whether there was one. One '
    'that an account uploaded, or that an entry here names, stays; so does one that is withdrawn here.';
REVOKE ALL ON FUNCTION shacache.drop_fetched(bytea, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shacache.drop_fetched(bytea, text) TO shacache_worker;
