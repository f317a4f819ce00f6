-- What shacache-admin check compares with the entries themselves, and puts right. `after` and `most`: a page at a time,
-- in order, so that neither side needs memory for all that may be wrong. Each comparison is one statement, and so one
-- snapshot. A repair begins as maintenance does: of two repairs at a time, the second waits, and compares anew.

CREATE OR REPLACE FUNCTION shacache.recount_keys(after text, most integer, repair boolean) RETURNS TABLE (
    key text, stored_entries bigint, counted_entries bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' AS $$
-- key is a column, too.
#variable_conflict use_column
BEGIN
    IF repair THEN
        PERFORM shacache.begin_maintenance();
    END IF;
    RETURN QUERY
        WITH wrong AS MATERIALIZED (
            SELECT key, coalesce(stored.entries, 0) AS stored, coalesce(counted.entries, 0) AS counted, counted.last_at
            FROM (SELECT key, entries, last_at FROM shacache.key_count WHERE key > after) AS stored
            FULL JOIN (
                SELECT key, count(*) AS entries, max(created_at) AS last_at FROM shacache.entry
                WHERE key > after GROUP BY key
            ) AS counted USING (key)
            WHERE coalesce(stored.entries, 0) <> coalesce(counted.entries, 0) OR stored.last_at < counted.last_at
            ORDER BY key LIMIT most
        ), repaired AS (
            -- Adds the difference rather than setting the sum: uploads that commit meanwhile add theirs to both sides.
            -- In their order, so that neither waits for the other in a circle.
            INSERT INTO shacache.key_count AS known (key, entries, last_at)
            SELECT key, counted - stored, coalesce(last_at, '-infinity') FROM wrong WHERE repair ORDER BY key
            ON CONFLICT (key) DO UPDATE
            SET entries = known.entries + excluded.entries, last_at = greatest(known.last_at, excluded.last_at)
        )
        SELECT key, stored, counted FROM wrong ORDER BY key;
END
$$;
COMMENT ON FUNCTION shacache.recount_keys(text, integer, boolean) IS
    'The keys behind this one whose number of entries in key_count, or whose last time there, is not that of their '
    'entries; repair corrects them.';

CREATE OR REPLACE FUNCTION shacache.recount_entries_before_blob(after bigint, most integer, repair boolean)
    RETURNS TABLE (entry_id bigint, key text, is_noted boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' AS $$
#variable_conflict use_column
BEGIN
    IF repair THEN
        PERFORM shacache.begin_maintenance();
    END IF;
    RETURN QUERY
        WITH wrong AS MATERIALIZED (
            SELECT * FROM (
                SELECT entry.id, entry.created_at, entry.key, false AS is_noted FROM shacache.entry
                WHERE entry.id > after
                    AND NOT EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = entry.sha512)
                    AND NOT EXISTS (
                        SELECT FROM shacache.entry_before_blob AS noted
                        WHERE noted.created_at = entry.created_at AND noted.entry_id = entry.id)
                UNION ALL
                -- Every night, maintain forgets those whose blob has come.
                SELECT noted.entry_id, noted.created_at, coalesce(entry.key, ''), true
                FROM shacache.entry_before_blob AS noted
                LEFT JOIN shacache.entry ON entry.id = noted.entry_id
                LEFT JOIN shacache.blob ON blob.sha512 = entry.sha512
                WHERE noted.entry_id > after
                    AND (entry.id IS NULL OR entry.created_at <> noted.created_at
                        OR blob.created_at < now() - interval '2 days')
            ) AS each
            ORDER BY id, is_noted LIMIT most
        ), added AS (
            INSERT INTO shacache.entry_before_blob (created_at, entry_id)
            SELECT created_at, id FROM wrong WHERE repair AND NOT is_noted
            ON CONFLICT DO NOTHING
        ), removed AS (
            DELETE FROM shacache.entry_before_blob AS noted USING wrong
            WHERE repair AND wrong.is_noted AND noted.created_at = wrong.created_at AND noted.entry_id = wrong.id
        )
        SELECT id, key, is_noted FROM wrong ORDER BY id, is_noted;
END
$$;
COMMENT ON FUNCTION shacache.recount_entries_before_blob(bigint, integer, boolean) IS
    'The entries behind this one that entry_before_blob lacks though their blob has no row, or has (is_noted) though it '
    'has one for two days, or though there is no such entry; repair corrects them.';

REVOKE ALL ON FUNCTION shacache.recount_keys(text, integer, boolean),
    shacache.recount_entries_before_blob(bigint, integer, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shacache.recount_keys(text, integer, boolean),
    shacache.recount_entries_before_blob(bigint, integer, boolean) TO shacache_admin;
