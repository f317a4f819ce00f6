-- What shacache-admin maintain does with downloads. ingest-log waits meanwhile: both write the same rows.

CREATE OR REPLACE FUNCTION shacache.fold_missed_keys(kept integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
-- found is a column here.
#variable_conflict use_column
DECLARE
    folded bigint;
BEGIN
    PERFORM shacache.begin_maintenance();
    LOCK TABLE shacache.key_lookup IN SHARE ROW EXCLUSIVE MODE;
    WITH old AS (
        DELETE FROM shacache.key_lookup
        WHERE found = 0 AND key <> '' AND day < (now() AT TIME ZONE 'UTC')::date - kept
        RETURNING day, not_found, bytes
    ), summed AS (
        INSERT INTO shacache.key_lookup AS known (day, key, found, not_found, bytes)
        SELECT day, '', 0, sum(not_found), sum(bytes) FROM old GROUP BY day
        ON CONFLICT (key, day) DO UPDATE
        SET not_found = known.not_found + excluded.not_found, bytes = known.bytes + excluded.bytes
    )
    SELECT count(*) INTO folded FROM old;
    RETURN folded;
END
$$;
COMMENT ON FUNCTION shacache.fold_missed_keys(integer) IS
    'Adds up the lookups of keys that were not found, by day, for days older than kept days: only later days keep a '
    'row for each of these keys.';

-- One month per call, each in a transaction of its own.
CREATE OR REPLACE FUNCTION shacache.fold_download_month(kept integer) RETURNS date
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    month date;
BEGIN
    PERFORM shacache.begin_maintenance();
    SELECT begun INTO month
    FROM (
        SELECT DISTINCT date_trunc('month', day::timestamp)::date AS begun FROM shacache.download_day
        WHERE day < this_month - kept * interval '1 month'
    ) AS old
    WHERE EXISTS (SELECT FROM shacache.blob_download WHERE day > begun AND day < begun + interval '1 month')
        OR EXISTS (SELECT FROM shacache.key_lookup WHERE day > begun AND day < begun + interval '1 month')
    ORDER BY begun LIMIT 1;
    IF month IS NULL THEN
        RETURN NULL;
    END IF;
    LOCK TABLE shacache.blob_download, shacache.key_lookup IN SHARE ROW EXCLUSIVE MODE;
    WITH old AS (
        DELETE FROM shacache.blob_download WHERE day > month AND day < month + interval '1 month' RETURNING *
    )
    INSERT INTO shacache.blob_download AS known (day, sha512, whole, partial, probes, bytes)
    SELECT month, sha512, sum(whole), sum(partial), sum(probes), sum(bytes) FROM old GROUP BY sha512
    ON CONFLICT (sha512, day) DO UPDATE
    SET whole = known.whole + excluded.whole, partial = known.partial + excluded.partial,
        probes = known.probes + excluded.probes, bytes = known.bytes + excluded.bytes;
    WITH old AS (
        DELETE FROM shacache.key_lookup WHERE day > month AND day < month + interval '1 month' RETURNING *
    )
    INSERT INTO shacache.key_lookup AS known (day, key, found, not_found, bytes)
    SELECT month, key, sum(found), sum(not_found), sum(bytes) FROM old GROUP BY key
    ON CONFLICT (key, day) DO UPDATE
    SET found = known.found + excluded.found, not_found = known.not_found + excluded.not_found,
        bytes = known.bytes + excluded.bytes;
    RETURN month;
END
$$;
COMMENT ON FUNCTION shacache.fold_download_month(integer) IS
    'Adds up the days of the oldest month that still has them: kept is how many months before this one keep them. '
    'NULL: there was none to add up.';

REVOKE ALL ON FUNCTION shacache.fold_missed_keys(integer), shacache.fold_download_month(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shacache.fold_missed_keys(integer), shacache.fold_download_month(integer) TO shacache_admin;
