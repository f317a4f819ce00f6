-- Uploads in one or two round trips, and several uploads of a process in one transaction.

CREATE OR REPLACE FUNCTION shacache.admit_blobs(uploads shacache.blob_upload[]) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    locked boolean[];
    counted bigint[];
    known bytea[];
BEGIN
    -- As in store_entries.
    SELECT
        ARRAY(
            SELECT pg_try_advisory_xact_lock(shacache.blob_lock(upload.sha512))
            FROM unnest(uploads) WITH ORDINALITY AS upload ORDER BY ordinality),
        ARRAY(
            SELECT account.id FROM shacache.account
            WHERE account.id = ANY (ARRAY(SELECT DISTINCT upload.account_id FROM unnest(uploads) AS upload))
                AND (account.bytes_limit IS NOT NULL OR account.blobs_limit IS NOT NULL)
                AND pg_try_advisory_xact_lock(1, account.id::integer)),
        ARRAY(
            SELECT blob.sha512 FROM shacache.blob
            WHERE blob.sha512 = ANY (ARRAY(SELECT upload.sha512 FROM unnest(uploads) AS upload))
            ORDER BY blob.sha512 FOR NO KEY UPDATE SKIP LOCKED)
        INTO locked, counted, known;

    RETURN (
        WITH upload AS MATERIALIZED (
            SELECT *,
                row_number() OVER (PARTITION BY account_id ORDER BY ordinality) AS blobs_so_far,
                sum(bytes) OVER (PARTITION BY account_id ORDER BY ordinality) AS bytes_so_far
            FROM unnest(uploads) WITH ORDINALITY AS upload
        ), identity AS MATERIALIZED (
            SELECT account_id, certificate, shacache.identity_of(account_id, certificate) AS number
            FROM (SELECT DISTINCT account_id, certificate FROM upload) AS shown
        ), account AS MATERIALIZED (
            SELECT account.id,
                account.bytes_limit IS NOT NULL OR account.blobs_limit IS NOT NULL AS has_quota,
                account.blobs_limit - usage.blobs AS blobs_left,
                account.bytes_limit - usage.bytes AS bytes_left
            FROM shacache.account
            LEFT JOIN LATERAL (
                SELECT coalesce(sum(blobs), 0) AS blobs, coalesce(sum(bytes), 0) AS bytes
                FROM shacache.account_usage
                WHERE account_usage.account_id = account.id AND account.id = ANY (counted)
            ) AS usage ON true
            WHERE account.id = ANY (ARRAY(SELECT upload.account_id FROM upload))
        )
        SELECT array_agg(
            CASE
                WHEN NOT locked[upload.ordinality] OR account.id IS NULL THEN NULL
                WHEN upload.identity <> identity.number OR identity.number IS NULL THEN NULL
                WHEN blob.sha512 IS NOT NULL THEN
                    -- One that was fetched becomes the account's, within its quota.
                    CASE WHEN blob.withdrawal_id IS NULL AND blob.account_id IS NOT NULL AND blob.sha512 = ANY (known)
                        THEN 'duplicate' END
                WHEN account.has_quota AND (
                    account.id <> ALL (counted) OR upload.blobs_so_far > account.blobs_left
                    OR upload.bytes_so_far > account.bytes_left) THEN NULL
                ELSE 'new'
            END ORDER BY upload.ordinality)
        FROM upload
        LEFT JOIN account ON account.id = upload.account_id
        LEFT JOIN identity ON identity.account_id = upload.account_id
            AND identity.certificate IS NOT DISTINCT FROM upload.certificate
        LEFT JOIN LATERAL (
            SELECT present.sha512, present.withdrawal_id, present.account_id FROM shacache.blob AS present
            WHERE present.sha512 = upload.sha512 OFFSET 0
        ) AS blob ON true
    );
END
$$;
COMMENT ON FUNCTION shacache.admit_blobs(shacache.blob_upload[]) IS
    'Locks the blobs of the fast path, and returns for each whether it is new or a duplicate. NULL: this one needs a '
    'transaction of its own, for whatever reason.';

CREATE OR REPLACE FUNCTION shacache.record_blobs(uploads shacache.blob_upload[], verdicts text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    WITH stored AS MATERIALIZED (
        SELECT *, verdicts[ordinality] AS verdict FROM unnest(uploads) WITH ORDINALITY AS upload
        WHERE verdicts[ordinality] IS NOT NULL
    ), touched AS (
        UPDATE shacache.blob
        SET last_referenced_at = now(), deleting_at = NULL, left_by = NULL,
            is_shared = is_shared OR blob.account_id <> stored.account_id
        FROM stored WHERE blob.sha512 = stored.sha512 AND stored.verdict = 'duplicate'
    ), added AS (
        INSERT INTO shacache.blob (sha512, size, account_id)
        SELECT sha512, bytes, account_id FROM stored WHERE verdict = 'new'
        RETURNING account_id, size
    ), adopted AS (
        UPDATE shacache.blob
        SET account_id = stored.account_id, last_referenced_at = now(), deleting_at = NULL, left_by = NULL
        FROM stored WHERE blob.sha512 = stored.sha512 AND stored.verdict = 'adopted'
        RETURNING blob.account_id, blob.size
    ), counted AS (
        -- Each session adds to one of sixteen sums, so that uploads of one account rarely wait for each other's commit.
        INSERT INTO shacache.account_usage AS usage (account_id, shard, blobs, bytes)
        SELECT account_id, pg_backend_pid() % 16, count(*), sum(size)
        FROM (SELECT * FROM added UNION ALL SELECT * FROM adopted) AS gained GROUP BY account_id ORDER BY account_id
        ON CONFLICT (account_id, shard)
        DO UPDATE SET blobs = usage.blobs + excluded.blobs, bytes = usage.bytes + excluded.bytes
    )
    INSERT INTO shacache.upload (
        account_id, certificate, client_address, target, sha512, bytes, duplicate, outcome, status, duration, request_id)
    SELECT account_id, certificate, client_address, 'blob', sha512, bytes, verdict <> 'new', 'accepted', 201,
        duration, request_id
    FROM stored ORDER BY ordinality;
END
$$;
COMMENT ON FUNCTION shacache.record_blobs(shacache.blob_upload[], text[]) IS
    'Stores and records the uploads by their verdicts, under the locks of the blobs: new, duplicate, or adopted, which is of '
    'one that had been fetched, and is the account''s from now on; skips NULL.';

-- It stored one at a time in earlier releases.
DROP FUNCTION IF EXISTS shacache.record_fetched(bytea, bigint, text);

CREATE OR REPLACE FUNCTION shacache.admit_fetched(digests bytea[]) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    locked boolean[];
BEGIN
    locked := ARRAY(
        SELECT pg_try_advisory_xact_lock(shacache.blob_lock(digest))
        FROM unnest(digests) WITH ORDINALITY AS fetched (digest, ordinality) ORDER BY ordinality);
    RETURN ARRAY(
        SELECT CASE
            WHEN locked[ordinality] AND NOT EXISTS (SELECT FROM shacache.blob WHERE sha512 = digest) THEN 'new' END
        FROM unnest(digests) WITH ORDINALITY AS fetched (digest, ordinality) ORDER BY ordinality);
END
$$;
COMMENT ON FUNCTION shacache.admit_fetched(bytea[]) IS
    'Locks blobs that were fetched, and returns for each whether it is new. NULL: this one needs a transaction of its own.';

CREATE OR REPLACE FUNCTION shacache.record_fetched(
    digests bytea[], sizes bigint[], upstream_names text[], verdicts text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    INSERT INTO shacache.upstream (name)
    SELECT DISTINCT name FROM unnest(upstream_names) AS name
    WHERE NOT EXISTS (SELECT FROM shacache.upstream WHERE upstream.name = name.name) ORDER BY name
    ON CONFLICT (name) DO NOTHING;
    INSERT INTO shacache.blob (sha512, size, upstream_id)
    SELECT fetched.digest, fetched.size, upstream.id
    FROM unnest(digests, sizes, upstream_names, verdicts) AS fetched (digest, size, upstream_name, verdict)
    JOIN shacache.upstream ON upstream.name = fetched.upstream_name
    WHERE fetched.verdict IS NOT NULL ORDER BY fetched.digest
    ON CONFLICT (sha512) DO UPDATE SET last_referenced_at = now(), deleting_at = NULL, left_by = NULL;
END
$$;
COMMENT ON FUNCTION shacache.record_fetched(bytea[], bigint[], text[], text[]) IS
    'Records blobs that were fetched from upstreams, under their locks; skips those whose verdict is NULL. One that has a row '
    'keeps its account: it was damaged.';

REVOKE ALL ON FUNCTION
    shacache.admit_blobs(shacache.blob_upload[]), shacache.record_blobs(shacache.blob_upload[], text[]),
    shacache.admit_fetched(bytea[]), shacache.record_fetched(bytea[], bigint[], text[], text[])
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    shacache.admit_blobs(shacache.blob_upload[]), shacache.record_blobs(shacache.blob_upload[], text[]),
    shacache.admit_fetched(bytea[]), shacache.record_fetched(bytea[], bigint[], text[], text[])
    TO shacache_worker, shacache_admin;
