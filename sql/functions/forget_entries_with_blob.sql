-- For `shacache-admin maintain`: deletes from entry_before_blob the entries whose blob was uploaded since.
CREATE OR REPLACE FUNCTION shacache.forget_entries_with_blob() RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    DELETE FROM shacache.entry_before_blob AS noted
    USING shacache.entry JOIN shacache.blob USING (sha512)
    WHERE entry.id = noted.entry_id;
END;
REVOKE ALL ON FUNCTION shacache.forget_entries_with_blob() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shacache.forget_entries_with_blob() TO shacache_admin;
