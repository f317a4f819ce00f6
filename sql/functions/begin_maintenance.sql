-- What shacache-admin maintain does. Of two at a time, the second waits, and finds the work done. Workers end their
-- statements after ten seconds: none is to wait nearly as long for a lock behind these.
CREATE OR REPLACE FUNCTION shacache.begin_maintenance() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Two numbers, the first of which is the server's own: with one, it would be the lock of some key or blob.
    PERFORM pg_advisory_xact_lock(3, 0);
    PERFORM set_config('lock_timeout', '2s', true);
END
$$;
REVOKE ALL ON FUNCTION shacache.begin_maintenance() FROM PUBLIC;
