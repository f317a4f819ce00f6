-- Begins each step of `shacache-admin maintain`. Of two runs at a time, the second waits, and finds the work done. Its
-- lock_timeout is far below the workers' statement timeout of ten seconds, since they queue behind its lock requests.
CREATE OR REPLACE FUNCTION shacache.begin_maintenance() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- The form with two numbers has a space of its own: with one, it would be the lock of some key or blob.
    PERFORM pg_advisory_xact_lock(3, 0);
    PERFORM set_config('lock_timeout', '2s', true);
END
$$;
REVOKE ALL ON FUNCTION shacache.begin_maintenance() FROM PUBLIC;
