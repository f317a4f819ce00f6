-- The feed: what was accepted, hidden and shown again, by its numbers.
--
-- A number is given before COMMIT, and transactions commit in any order. So whoever is about to take numbers first locks
-- the highest number that was given until then, shared, so that none waits: all of its own will be higher. A reader ends
-- at the lowest number that is locked: whatever is to come by then has a higher one.

CREATE OR REPLACE FUNCTION shacache.hold_feed() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
    given bigint := last_value FROM shacache.entry_id_seq;
BEGIN
    -- From 2^30 on, the first number of a lock is not one of LockOrder.swift's.
    PERFORM pg_advisory_xact_lock_shared(1073741824 + (given >> 31)::integer, (given & 2147483647)::integer);
END
$$;
COMMENT ON FUNCTION shacache.hold_feed() IS
    'Ends the feed at the numbers that were given until now, until this transaction ends. Before it takes numbers.';

CREATE OR REPLACE FUNCTION shacache.feed(after bigint, most_items bigint, most_bytes bigint)
    RETURNS TABLE (number bigint, item json)
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    last bigint;
    held bigint;
BEGIN
    -- Three statements, in this order, each with a snapshot of its own. A transaction that isn't in the list of locks
    -- either has ended, so that the last statement sees what it did, or takes numbers above `last`.
    last := last_value FROM shacache.entry_id_seq;
    held := (
        SELECT min(((classid::bigint - 1073741824) << 31) + objid::bigint) FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 2 AND classid::bigint >= 1073741824
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database()));
    RETURN QUERY
    SELECT page.number, json_strip_nulls(json_build_object(
        'number', page.number, 'event', page.event,
        'at', to_char(page.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'key', page.key,
        'entry', encode(page.digest, 'hex'), 'sha512', encode(page.sha512, 'hex'), 'metadata', page.metadata,
        'signature', page.signature))
    FROM (
        SELECT *, sum(coalesce(octet_length(known.metadata) + octet_length(known.signature), 0) + 1000)
            OVER (ORDER BY known.number ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW) AS bytes_before
        FROM (
            (
                SELECT id AS number, 'entry' AS event, created_at AS at, key, digest, sha512, metadata, signature
                FROM shacache.entry
                WHERE id > after AND id <= least(last, held) AND withdrawal_id IS NULL
                ORDER BY id LIMIT most_items
            )
            UNION ALL
            (
                SELECT change.number, CASE WHEN entry_id IS NULL THEN 'blob ' ELSE 'entry ' END
                        || CASE WHEN is_hidden THEN 'hidden' ELSE 'shown' END,
                    change.at, change.key, change.digest, change.sha512, entry.metadata, entry.signature
                FROM shacache.visibility_change AS change
                LEFT JOIN shacache.entry ON entry.id = entry_id AND entry.withdrawal_id IS NULL AND NOT is_hidden
                WHERE change.number > after AND change.number <= least(last, held)
                    AND (is_hidden OR entry_id IS NULL OR entry.id IS NOT NULL)
                ORDER BY change.number LIMIT most_items
            )
            ORDER BY number LIMIT most_items
        ) AS known
    ) AS page
    WHERE coalesce(bytes_before, 0) < most_bytes
    ORDER BY page.number;
END
$$;
COMMENT ON FUNCTION shacache.feed(bigint, bigint, bigint) IS
    'What has a number above `after`, in its order, as far as nothing may still come in between: at most so many items, and '
    'none behind so many bytes. What is hidden now is left out, but for the fact that it was hidden.';
REVOKE ALL ON FUNCTION shacache.hold_feed(), shacache.feed(bigint, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shacache.feed(bigint, bigint, bigint) TO shacache_worker, shacache_admin;
