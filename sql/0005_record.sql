-- The upload record by month, so that old months can be dropped, and its sums by day, so that reports stay fast.

-- What a report is asked for. A session sets it, with SET report.since = '2026-01-01', or nobody does.
CREATE FUNCTION report.since() RETURNS date
    LANGUAGE sql STABLE PARALLEL SAFE RETURN nullif(current_setting('report.since', true), '')::date;
CREATE FUNCTION report.until() RETURNS date
    LANGUAGE sql STABLE PARALLEL SAFE RETURN nullif(current_setting('report.until', true), '')::date;
CREATE FUNCTION report.account() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE RETURN nullif(current_setting('report.account', true), '') COLLATE "C";
COMMENT ON FUNCTION report.since() IS 'The first day (in UTC) that the views count; NULL: the first of all.';
COMMENT ON FUNCTION report.until() IS 'The last day (in UTC) that the views count; NULL: today.';
COMMENT ON FUNCTION report.account() IS 'The account that the views count; NULL: every one.';

-- They read the table that is about to be replaced.
DROP VIEW report.upload, report.uploads_by_day, report.uploads_by_account, report.uploads_by_signer,
    report.refusals_by_reason, report.space_by_account;

-- Or what is recorded between the copy and the end of the old table would go with it. After the views, as reports do.
LOCK TABLE shacache.upload;

CREATE TABLE shacache.upload_by_month (LIKE shacache.upload INCLUDING CONSTRAINTS INCLUDING COMMENTS INCLUDING DEFAULTS)
    PARTITION BY RANGE (at);
CREATE TABLE shacache.upload_default PARTITION OF shacache.upload_by_month DEFAULT;
INSERT INTO shacache.upload_by_month SELECT * FROM shacache.upload;
DROP TABLE shacache.upload;
ALTER TABLE shacache.upload_by_month RENAME TO upload;
ALTER TABLE shacache.upload
    ALTER id ADD GENERATED ALWAYS AS IDENTITY,
    ADD PRIMARY KEY (id, at),
    ADD FOREIGN KEY (account_id) REFERENCES shacache.account,
    ADD FOREIGN KEY (signer_id) REFERENCES shacache.signer;
CREATE INDEX upload_by_time ON shacache.upload (at);
CREATE INDEX upload_by_account ON shacache.upload (account_id, at);
-- For who asks what became of one upload, key or blob. A hash takes less room than the text. Keys stand in order, so that one
-- can ask for all that begin with something. Only what was not accepted has a reason.
CREATE INDEX upload_by_request ON shacache.upload USING hash (request_id);
CREATE INDEX upload_by_key ON shacache.upload (key, at) WHERE key IS NOT NULL;
CREATE INDEX upload_by_sha512 ON shacache.upload USING hash (encode(sha512, 'hex'));
CREATE INDEX upload_by_reason ON shacache.upload (reason, at) WHERE reason IS NOT NULL;
SELECT setval(pg_get_serial_sequence('shacache.upload', 'id'), max(id)) FROM shacache.upload HAVING count(*) > 0;
COMMENT ON TABLE shacache.upload IS
    'Every upload that was tried, by months in UTC. An accepted one is written in the transaction that stores it.';
COMMENT ON TABLE shacache.upload_default IS
    'Uploads of a month that has no partition: no upload fails for want of one. shacache-admin maintain moves them.';
GRANT SELECT, INSERT ON shacache.upload TO shacache_worker;
GRANT SELECT ON shacache.upload TO shacache_admin;

CREATE TABLE shacache.closed_day (
    day date PRIMARY KEY,
    closed_at timestamptz NOT NULL DEFAULT now(),
    is_dropped boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE shacache.closed_day IS
    'The days (in UTC) whose uploads are added up in upload_day. None is left out: what comes after the last is open.';
COMMENT ON COLUMN shacache.closed_day.is_dropped IS 'Its uploads were dropped: the sums are all that is left of them.';

CREATE TABLE shacache.upload_day (
    day date NOT NULL REFERENCES shacache.closed_day,
    account_id bigint REFERENCES shacache.account,
    target text NOT NULL,
    outcome text NOT NULL,
    reason text,
    duplicate boolean,
    signature_result text,
    signer_id bigint REFERENCES shacache.signer,
    uploads bigint NOT NULL,
    bytes numeric NOT NULL,
    last_at timestamptz NOT NULL,
    last_id bigint NOT NULL,
    CONSTRAINT upload_is_summed_once UNIQUE NULLS NOT DISTINCT (
        day, account_id, target, outcome, reason, duplicate, signature_result, signer_id)
);
COMMENT ON TABLE shacache.upload_day IS 'Sums of the uploads of closed days. They stay when the uploads themselves are dropped.';
COMMENT ON COLUMN shacache.upload_day.last_id IS 'The highest id in the sum: an example to show.';
CREATE INDEX upload_day_by_account ON shacache.upload_day (account_id, day);

-- The same sums of the days that are not closed, and of those that are and whose uploads are kept. The first open day is
-- asked for once, and leaves out the partitions before it. With an end, too, it is a range to the planner, which takes
-- ranges for short ones; else it prepares to read half of the record.
DO $$
DECLARE
    view text;
    condition text;
BEGIN
    FOR view, condition IN VALUES
        ('upload_of_open_day', $sql$
            at >= (SELECT coalesce((max(day) + 1)::timestamp AT TIME ZONE 'UTC', '-infinity') FROM shacache.closed_day)
            AND at < 'infinity'$sql$),
        ('upload_of_kept_day', $sql$
            (at AT TIME ZONE 'UTC')::date IN (SELECT day FROM shacache.closed_day WHERE NOT is_dropped)$sql$)
    LOOP
        EXECUTE format($sql$
            CREATE VIEW shacache.%I AS
            SELECT
                (at AT TIME ZONE 'UTC')::date AS day,
                account_id,
                target,
                outcome,
                reason,
                duplicate,
                signature_result,
                signer_id,
                count(*) AS uploads,
                coalesce(sum(bytes), 0) AS bytes,
                max(at) AS last_at,
                max(id) AS last_id
            FROM shacache.upload
            WHERE %s
            GROUP BY 1, account_id, target, outcome, reason, duplicate, signature_result, signer_id$sql$, view, condition);
    END LOOP;
END
$$;
COMMENT ON VIEW shacache.upload_of_kept_day IS 'What upload_day should say of the closed days whose uploads are kept.';

CREATE VIEW shacache.upload_sum AS
SELECT * FROM shacache.upload_day UNION ALL SELECT * FROM shacache.upload_of_open_day;
COMMENT ON VIEW shacache.upload_sum IS
    'All uploads, also those of today: always exact. The longer no day was closed, the longer it takes.';

-- What shacache-admin maintain does. Of two at a time, the second waits, and finds the work done. Workers end their
-- statements after ten seconds: none is to wait nearly as long for a lock behind these.
CREATE FUNCTION shacache.begin_maintenance() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Two numbers, the first of which is the server's own: with one, it would be the lock of some key or blob.
    PERFORM pg_advisory_xact_lock(3, 0);
    PERFORM set_config('lock_timeout', '2s', true);
END
$$;

-- Uploads wait while rows are moved out of the default partition: some seconds for a million.
CREATE FUNCTION shacache.make_upload_month(month date) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := to_char(month, '"upload_"YYYY"_"MM');
    first_at timestamptz := month::timestamp AT TIME ZONE 'UTC';
    end_at timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    -- Without its descendants: nobody who reads those is waited for.
    LOCK TABLE ONLY shacache.upload IN SHARE ROW EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE shacache.%I (LIKE shacache.upload INCLUDING CONSTRAINTS INCLUDING DEFAULTS)', name);
    EXECUTE format(
        'WITH moved AS (DELETE FROM shacache.upload_default WHERE at >= $1 AND at < $2 RETURNING *)
        INSERT INTO shacache.%I SELECT * FROM moved', name) USING first_at, end_at;
    EXECUTE format('ALTER TABLE shacache.upload ATTACH PARTITION shacache.%I FOR VALUES FROM (%L) TO (%L)',
        name, first_at, end_at);
END
$$;

-- One month a call, and so a transaction: uploads wait for the rows of one alone. Those to come first, so that no more
-- rows need to be moved.
CREATE FUNCTION shacache.make_missing_upload_month() RETURNS date
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
    'Makes a partition that is missing: of this month or the next two, or of one that has rows in the default partition. '
    'NULL: none is.';

CREATE FUNCTION shacache.close_upload_days() RETURNS SETOF date
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' AS $$
DECLARE
    first_day date;
    last_day date;
BEGIN
    PERFORM shacache.begin_maintenance();
    -- An hour after its end, no transaction that began in a day is still under way: workers' are ended after half of that
    -- (roles.sql). And whatever the clock says, a day is over when there is an upload of a later one.
    SELECT
        coalesce((SELECT max(day) + 1 FROM shacache.closed_day), (min(at) AT TIME ZONE 'UTC')::date),
        (least(now() - interval '1 hour', max(at)) AT TIME ZONE 'UTC')::date - 1
        INTO first_day, last_day FROM shacache.upload;
    -- One statement, and so one look at the record: the days are open for the whole of it.
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
    'Adds up the uploads of the days that are over since an hour; the last one with uploads waits for one after it.';

CREATE FUNCTION shacache.recount_upload_days(repair boolean) RETURNS TABLE (
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
    'The closed days whose sums are not those of their uploads, as far as these are kept; if told so, it puts them right.';

CREATE FUNCTION shacache.drop_upload_months(kept integer) RETURNS SETOF date
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

REVOKE ALL ON FUNCTION shacache.begin_maintenance(), shacache.make_upload_month(date),
    shacache.make_missing_upload_month(), shacache.close_upload_days(), shacache.recount_upload_days(boolean),
    shacache.drop_upload_months(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shacache.make_missing_upload_month(), shacache.close_upload_days(),
    shacache.recount_upload_days(boolean), shacache.drop_upload_months(integer) TO shacache_admin;

-- The rows of the old table go where they belong.
DO $$
BEGIN
    WHILE shacache.make_missing_upload_month() IS NOT NULL LOOP
    END LOOP;
END
$$;
