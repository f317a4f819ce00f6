CREATE OR REPLACE FUNCTION shacache.close_upload_days() RETURNS SETOF date
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' AS $$
DECLARE
    first_day date;
    last_day date;
BEGIN
    PERFORM shacache.begin_maintenance();
    -- An hour after the end of a day, no transaction that began in it is still open: those of workers time out after
    -- half an hour (roles.sql). And whatever the clock, a day is closed only when there is an upload of a later one.
    SELECT
        coalesce((SELECT max(day) + 1 FROM shacache.closed_day), (min(at) AT TIME ZONE 'UTC')::date),
        (least(now() - interval '1 hour', max(at)) AT TIME ZONE 'UTC')::date - 1
        INTO first_day, last_day FROM shacache.upload;
    -- One statement, and so one snapshot: in all of it, the days are still open.
    RETURN QUERY
        WITH closed AS (
            INSERT INTO shacache.closed_day (day)
            SELECT ended::date FROM generate_series(first_day, last_day, interval '1 day') AS ended
            RETURNING day
        ), summed AS (
            INSERT INTO shacache.upload_day SELECT * FROM shacache.upload_of_open_day WHERE day <= last_day
        )
        SELECT day FROM closed ORDER BY day;
END
$$;
COMMENT ON FUNCTION shacache.close_upload_days() IS
    'Adds up the uploads of the days that ended over an hour ago. The last day with uploads stays open until one of a '
    'later day.';

CREATE OR REPLACE FUNCTION shacache.recount_upload_days(repair boolean) RETURNS TABLE (
    day date, stored_uploads bigint, counted_uploads bigint, stored_bytes numeric, counted_bytes numeric)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' AS $$
DECLARE
    wrong date[];
BEGIN
    PERFORM shacache.begin_maintenance();
    CREATE TEMPORARY TABLE counted ON COMMIT DROP AS SELECT * FROM shacache.upload_of_kept_day;
    CREATE TEMPORARY TABLE stored ON COMMIT DROP AS
        SELECT upload_day.* FROM shacache.upload_day JOIN shacache.closed_day USING (day) WHERE NOT is_dropped;
    wrong := ARRAY(
        SELECT each.day FROM (
            (SELECT * FROM pg_temp.counted EXCEPT SELECT * FROM pg_temp.stored)
            UNION ALL (SELECT * FROM pg_temp.stored EXCEPT SELECT * FROM pg_temp.counted)
        ) AS each GROUP BY each.day);
    IF repair THEN
        DELETE FROM shacache.upload_day WHERE upload_day.day = ANY (wrong);
        INSERT INTO shacache.upload_day SELECT * FROM pg_temp.counted WHERE counted.day = ANY (wrong);
    END IF;
    RETURN QUERY
        SELECT each,
            (SELECT coalesce(sum(uploads), 0)::bigint FROM pg_temp.stored WHERE stored.day = each),
            (SELECT coalesce(sum(uploads), 0)::bigint FROM pg_temp.counted WHERE counted.day = each),
            (SELECT coalesce(sum(bytes), 0) FROM pg_temp.stored WHERE stored.day = each),
            (SELECT coalesce(sum(bytes), 0) FROM pg_temp.counted WHERE counted.day = each)
        FROM unnest(wrong) AS each ORDER BY each;
END
$$;
COMMENT ON FUNCTION shacache.recount_upload_days(boolean) IS
    'The closed days whose sums differ from those of their uploads, as far as these are kept; repair corrects them.';

REVOKE ALL ON FUNCTION shacache.close_upload_days(), shacache.recount_upload_days(boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shacache.close_upload_days(), shacache.recount_upload_days(boolean) TO shacache_admin;
