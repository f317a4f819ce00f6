-- Uploads wait while rows are moved out of the default partition: some seconds for a million.
CREATE OR REPLACE FUNCTION shacache.make_upload_month(month date) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := to_char(month, '"upload_"YYYY"_"MM');
    first_at timestamptz := month::timestamp AT TIME ZONE 'UTC';
    end_at timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    -- ONLY: without the partitions, so that it doesn't wait for sessions that use those alone.
    LOCK TABLE ONLY shacache.upload IN SHARE ROW EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE shacache.%I (LIKE shacache.upload INCLUDING CONSTRAINTS INCLUDING DEFAULTS)', name);
    EXECUTE format(
        'WITH moved AS (DELETE FROM shacache.upload_default WHERE at >= $1 AND at < $2 RETURNING *)
        INSERT INTO shacache.%I SELECT * FROM moved', name) USING first_at, end_at;
    EXECUTE format('ALTER TABLE shacache.upload ATTACH PARTITION shacache.%I FOR VALUES FROM (%L) TO (%L)',
        name, first_at, end_at);
END
$$;

-- One month per call, each in a transaction of its own: uploads wait only while the rows of one month are moved. Months
-- to come go first, so that no further rows land in the default partition.
CREATE OR REPLACE FUNCTION shacache.make_missing_upload_month() RETURNS date
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    missing date;
BEGIN
    PERFORM shacache.begin_maintenance();
    SELECT ahead::date INTO missing
    FROM generate_series(this_month, this_month + interval '2 months', interval '1 month') AS ahead
    WHERE to_regclass(to_char(ahead, '"shacache.upload_"YYYY"_"MM')) IS NULL
    ORDER BY ahead LIMIT 1;
    IF missing IS NULL THEN
        SELECT date_trunc('month', min(at) AT TIME ZONE 'UTC')::date INTO missing FROM shacache.upload_default;
    END IF;
    IF missing IS NOT NULL THEN
        PERFORM shacache.make_upload_month(missing);
    END IF;
    RETURN missing;
END
$$;
COMMENT ON FUNCTION shacache.make_missing_upload_month() IS
    'Makes a partition that is missing: of this month or the next two, or of one with rows in the default partition. '
    'NULL: none is missing.';

CREATE OR REPLACE FUNCTION shacache.drop_upload_months(kept integer) RETURNS SETOF date
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    month date;
BEGIN
    PERFORM shacache.begin_maintenance();
    FOR month IN
        SELECT to_date(relname, '"upload_"YYYY"_"MM') AS begun
        FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'shacache.upload'::regclass AND inhrelid <> 'shacache.upload_default'::regclass
        ORDER BY begun
    LOOP
        CONTINUE WHEN month >= this_month - kept * interval '1 month'
            OR NOT EXISTS (SELECT FROM shacache.closed_day WHERE day = month + interval '1 month' - interval '1 day');
        EXECUTE format('DROP TABLE shacache.%I', to_char(month, '"upload_"YYYY"_"MM'));
        UPDATE shacache.closed_day SET is_dropped = true WHERE day < month + interval '1 month';
        RETURN NEXT month;
    END LOOP;
END
$$;
COMMENT ON FUNCTION shacache.drop_upload_months(integer) IS
    'Drops the uploads of closed months: kept is how many months before this one stay. Their sums stay in any case.';

REVOKE ALL ON FUNCTION shacache.make_upload_month(date), shacache.make_missing_upload_month(),
    shacache.drop_upload_months(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shacache.make_missing_upload_month(), shacache.drop_upload_months(integer) TO shacache_admin;
