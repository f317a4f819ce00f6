-- An upload in one or two round trips, and several uploads of a process in one transaction.

-- What rows of the record, of blobs and of entries name is never deleted, and its key never changes: so no row needs to
-- look it up when it is written (foreign keys were 11 to 18 % of what an upload costs here).
CREATE FUNCTION shacache.refuse_to_forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE foreign_key_violation USING MESSAGE = format(
        'rows of %I.%I are named by others: they are never deleted, and their keys never change',
        TG_TABLE_SCHEMA, TG_TABLE_NAME);
END
$$;
DO $$
DECLARE
    named regclass;
    keys text;
BEGIN
    FOR named, keys IN VALUES
        ('shacache.account', 'id'), ('shacache.certificate', 'fingerprint, account_id'), ('shacache.signer', 'id, public_key')
    LOOP
        EXECUTE format(
            'CREATE TRIGGER rows_stay BEFORE DELETE ON %s FOR EACH ROW EXECUTE FUNCTION shacache.refuse_to_forget()', named);
        EXECUTE format(
            'CREATE TRIGGER all_rows_stay BEFORE TRUNCATE ON %s EXECUTE FUNCTION shacache.refuse_to_forget()', named);
        EXECUTE format(
            'CREATE TRIGGER keys_stay BEFORE UPDATE OF %s ON %s FOR EACH ROW WHEN ((OLD.%s) IS DISTINCT FROM (NEW.%s)) '
            'EXECUTE FUNCTION shacache.refuse_to_forget()',
            keys, named, replace(keys, ', ', ', OLD.'), replace(keys, ', ', ', NEW.'));
    END LOOP;
END
$$;
ALTER TABLE shacache.blob DROP CONSTRAINT blob_account_id_fkey;
ALTER TABLE shacache.entry
    DROP CONSTRAINT entry_account_id_fkey, DROP CONSTRAINT entry_certificate_fkey, DROP CONSTRAINT entry_signer_id_fkey;
ALTER TABLE shacache.upload DROP CONSTRAINT upload_account_id_fkey, DROP CONSTRAINT upload_signer_id_fkey;

-- `record_entries` does what this trigger did.
DROP TRIGGER entries_are_noted ON shacache.entry;
DROP FUNCTION shacache.note_entries();

-- The numbers of the advisory locks of keys and blobs, which share one space of 64 bits: two with one number merely wait
-- for each other. All locks and their order: LockOrder.swift.
CREATE FUNCTION shacache.key_lock(key text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hashtextextended(key, 0);
CREATE FUNCTION shacache.blob_lock(sha512 bytea) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hashtextextended(encode(sha512, 'hex'), 1);

-- What a worker remembers of an account: it changes with everything that is known of the account.
CREATE FUNCTION shacache.identity_of(named bigint, shown bytea) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT hashtextextended(account::text, 0)
    FROM shacache.account
    WHERE account.id = named AND account.disabled_at IS NULL AND (
        shown IS NULL OR EXISTS (
            SELECT FROM shacache.certificate
            WHERE fingerprint = shown AND account_id = named AND revoked_at IS NULL AND not_after > now())));
COMMENT ON FUNCTION shacache.identity_of(bigint, bytea) IS
    'A number that changes with the account; NULL when the account, or the certificate (NULL: it has none), counts for '
    'nothing now.';

CREATE FUNCTION shacache.signers_version() RETURNS numeric
    LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT coalesce(sum(hashtextextended(format('%s %s %s', id, revoked_at, revoked_since), 0)), 0) FROM shacache.signer);
COMMENT ON FUNCTION shacache.signers_version() IS 'A number that changes when a signer is added or revoked.';

-- ------------------------------------------------------------------------------------------------------------- Entries

CREATE TYPE shacache.entry_upload AS (
    account_id bigint,
    certificate bytea,
    identity bigint,
    client_address inet,
    bytes bigint,
    duration interval,
    request_id text,
    key text COLLATE "C",
    metadata text,
    signature text,
    digest bytea,
    sha512 bytea,
    signature_result text,
    signer_id bigint,
    signers numeric,
    software_url text,
    multiarch text,
    os text[]
);
COMMENT ON TYPE shacache.entry_upload IS
    'An entry that is to be stored. identity and signers: what identity_of and signers_version answered when the account '
    'and the signers were read by which it was judged; NULL: they are not compared.';

CREATE FUNCTION shacache.record_entries(uploads shacache.entry_upload[], verdicts text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    WITH stored AS MATERIALIZED (
        SELECT *, verdicts[nth] AS verdict FROM unnest(uploads) WITH ORDINALITY AS upload (
            account_id, certificate, identity, client_address, bytes, duration, request_id, key, metadata, signature, digest,
            sha512, signature_result, signer_id, signers, software_url, multiarch, os, nth)
        WHERE verdicts[nth] IS NOT NULL
    ), touched AS (
        UPDATE shacache.blob SET last_referenced_at = now()
        WHERE blob.sha512 = ANY (ARRAY(SELECT stored.sha512 FROM stored))
        RETURNING blob.sha512
    ), added AS (
        INSERT INTO shacache.entry (
            key, metadata, signature, digest, sha512, account_id, certificate, signature_result, signer_id, software_url,
            multiarch, os)
        SELECT key, metadata, signature, digest, sha512, account_id, certificate, signature_result, signer_id,
            software_url, multiarch, os
        FROM stored WHERE verdict = 'new' ORDER BY nth
        RETURNING id, key, sha512, created_at
    ), counted AS (
        -- Under the lock of each key: none of these rows is waited for.
        INSERT INTO shacache.key_count AS known (key, entries, last_at)
        SELECT key, count(*), max(created_at) FROM added GROUP BY key ORDER BY key
        ON CONFLICT (key) DO UPDATE
        SET entries = known.entries + excluded.entries, last_at = greatest(known.last_at, excluded.last_at)
    ), before_blob AS (
        INSERT INTO shacache.entry_before_blob (created_at, entry_id)
        SELECT created_at, id FROM added WHERE NOT EXISTS (SELECT FROM touched WHERE touched.sha512 = added.sha512)
    )
    INSERT INTO shacache.upload (
        account_id, certificate, client_address, target, key, sha512, bytes, duplicate, signature_result, signer_id,
        outcome, status, duration, request_id)
    SELECT account_id, certificate, client_address, 'entry', key, sha512, bytes, verdict = 'duplicate', signature_result,
        signer_id, 'accepted', 201, duration, request_id
    FROM stored ORDER BY nth;
END
$$;
COMMENT ON FUNCTION shacache.record_entries(shacache.entry_upload[], text[]) IS
    'Writes what was decided under the locks of the keys: new or duplicate; of NULL, nothing.';

CREATE FUNCTION shacache.store_entries(
    uploads shacache.entry_upload[], most_entries bigint, most_bytes bigint, most_own_entries bigint, most_own_bytes bigint
) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    locked boolean[];
    counted bigint[];
    referenced bytea[];
    verdicts text[];
BEGIN
    -- None is waited for: who doesn't get a lock here goes alone, and holds up no other. In a statement of its own: one
    -- that locks doesn't see what was committed before it got the lock.
    IF NOT pg_try_advisory_xact_lock_shared(4, 0) THEN
        RETURN array_fill(NULL::text, ARRAY[cardinality(uploads)]);
    END IF;
    SELECT
        ARRAY(
            SELECT pg_try_advisory_xact_lock(shacache.key_lock(upload.key))
            FROM unnest(uploads) WITH ORDINALITY AS upload ORDER BY ordinality),
        ARRAY(
            SELECT account.id FROM shacache.account
            WHERE account.id = ANY (ARRAY(SELECT DISTINCT upload.account_id FROM unnest(uploads) AS upload))
                AND account.entries_per_day_limit IS NOT NULL AND pg_try_advisory_xact_lock(1, account.id::integer)),
        ARRAY(
            SELECT blob.sha512 FROM shacache.blob
            WHERE blob.sha512 = ANY (ARRAY(SELECT DISTINCT upload.sha512 FROM unnest(uploads) AS upload))
            ORDER BY blob.sha512 FOR NO KEY UPDATE SKIP LOCKED)
        INTO locked, counted, referenced;

    WITH upload AS MATERIALIZED (
        SELECT *, row_number() OVER (PARTITION BY account_id ORDER BY nth) AS nth_of_account
        FROM unnest(uploads) WITH ORDINALITY AS upload (
            account_id, certificate, identity, client_address, bytes, duration, request_id, key, metadata, signature, digest,
            sha512, signature_result, signer_id, signers, software_url, multiarch, os, nth)
    ), identity AS MATERIALIZED (
        SELECT account_id, certificate, shacache.identity_of(account_id, certificate) AS number
        FROM (SELECT DISTINCT account_id, certificate FROM upload) AS shown
    ), account AS MATERIALIZED (
        SELECT account.id, account.entries_per_key_limit, CASE
                WHEN account.entries_per_day_limit IS NULL THEN 9223372036854775807
                WHEN account.id = ANY (counted) THEN account.entries_per_day_limit - (
                    SELECT count(*) FROM shacache.entry
                    WHERE entry.account_id = account.id AND entry.created_at >= date_trunc('day', now(), 'UTC'))
                ELSE 0 END AS left_today
        FROM shacache.account WHERE account.id = ANY (ARRAY(SELECT upload.account_id FROM upload))
    )
    SELECT array_agg(
        CASE
            WHEN NOT locked[upload.nth] OR account.id IS NULL THEN NULL
            WHEN upload.identity <> identity.number OR identity.number IS NULL THEN NULL
            WHEN upload.signers <> signers.version THEN NULL
            WHEN upload.sha512 <> ALL (referenced)
                AND EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = upload.sha512) THEN NULL
            WHEN present.is_duplicate THEN 'duplicate'
            -- It may be another writing of the same signature, or withdrawn.
            WHEN present.is_similar THEN NULL
            WHEN upload.nth_of_account > account.left_today
                OR present.own_entries >= least(most_own_entries, account.entries_per_key_limit)
                OR present.own_bytes + size > most_own_bytes
                OR present.entries >= most_entries
                OR present.bytes + size > most_bytes THEN NULL
            ELSE 'new'
        END ORDER BY upload.nth)
    INTO verdicts
    FROM upload
    CROSS JOIN LATERAL (SELECT octet_length(upload.metadata) + octet_length(upload.signature) AS size) AS measured
    CROSS JOIN (SELECT shacache.signers_version() AS version) AS signers
    LEFT JOIN account ON account.id = upload.account_id
    LEFT JOIN identity ON identity.account_id = upload.account_id
        AND identity.certificate IS NOT DISTINCT FROM upload.certificate
    CROSS JOIN LATERAL (
        SELECT
            count(*) FILTER (WHERE entry.withdrawal_id IS NULL) AS entries,
            coalesce(sum(octet_length(entry.metadata) + octet_length(entry.signature))
                FILTER (WHERE entry.withdrawal_id IS NULL), 0) AS bytes,
            count(*) FILTER (WHERE entry.account_id = upload.account_id) AS own_entries,
            coalesce(sum(octet_length(entry.metadata) + octet_length(entry.signature))
                FILTER (WHERE entry.account_id = upload.account_id), 0) AS own_bytes,
            bool_or(entry.metadata = upload.metadata) AS is_similar,
            bool_or(
                entry.digest = upload.digest AND entry.withdrawal_id IS NULL
                AND (entry.is_shared OR entry.account_id = upload.account_id)) AS is_duplicate
        FROM shacache.entry WHERE entry.key = upload.key
    ) AS present;
    PERFORM shacache.record_entries(uploads, verdicts);
    RETURN verdicts;
END
$$;
COMMENT ON FUNCTION shacache.store_entries(shacache.entry_upload[], bigint, bigint, bigint, bigint) IS
    'Stores what needs no closer look, and says of each whether it was new or a duplicate. NULL: it is to be decided by '
    'itself, for whatever reason; nothing was done of it.';

-- --------------------------------------------------------------------------------------------------------------- Blobs

CREATE TYPE shacache.blob_upload AS (
    account_id bigint,
    certificate bytea,
    identity bigint,
    client_address inet,
    bytes bigint,
    duration interval,
    request_id text,
    sha512 bytea
);
COMMENT ON TYPE shacache.blob_upload IS 'A blob that is to be stored. identity: as in entry_upload.';

CREATE FUNCTION shacache.admit_blobs(uploads shacache.blob_upload[]) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
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
                row_number() OVER (PARTITION BY account_id ORDER BY nth) AS blobs_so_far,
                sum(bytes) OVER (PARTITION BY account_id ORDER BY nth) AS bytes_so_far
            FROM unnest(uploads) WITH ORDINALITY AS upload (
                account_id, certificate, identity, client_address, bytes, duration, request_id, sha512, nth)
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
                WHEN NOT locked[upload.nth] OR account.id IS NULL THEN NULL
                WHEN upload.identity <> identity.number OR identity.number IS NULL THEN NULL
                WHEN blob.sha512 IS NOT NULL THEN
                    CASE WHEN blob.withdrawal_id IS NULL AND blob.sha512 = ANY (known) THEN 'duplicate' END
                WHEN account.has_quota AND (
                    account.id <> ALL (counted) OR upload.blobs_so_far > account.blobs_left
                    OR upload.bytes_so_far > account.bytes_left) THEN NULL
                ELSE 'new'
            END ORDER BY upload.nth)
        FROM upload
        LEFT JOIN account ON account.id = upload.account_id
        LEFT JOIN identity ON identity.account_id = upload.account_id
            AND identity.certificate IS NOT DISTINCT FROM upload.certificate
        LEFT JOIN LATERAL (
            SELECT present.sha512, present.withdrawal_id FROM shacache.blob AS present
            WHERE present.sha512 = upload.sha512 OFFSET 0
        ) AS blob ON true
    );
END
$$;
COMMENT ON FUNCTION shacache.admit_blobs(shacache.blob_upload[]) IS
    'Takes the locks of blobs that need no closer look, and says of each whether it is new or a duplicate. NULL: it is to '
    'be decided by itself, for whatever reason.';

CREATE FUNCTION shacache.record_blobs(uploads shacache.blob_upload[], verdicts text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    WITH stored AS MATERIALIZED (
        SELECT *, verdicts[nth] AS verdict FROM unnest(uploads) WITH ORDINALITY AS upload (
            account_id, certificate, identity, client_address, bytes, duration, request_id, sha512, nth)
        WHERE verdicts[nth] IS NOT NULL
    ), touched AS (
        UPDATE shacache.blob
        SET last_referenced_at = now(), is_shared = is_shared OR blob.account_id <> stored.account_id
        FROM stored WHERE blob.sha512 = stored.sha512 AND stored.verdict = 'duplicate'
    ), added AS (
        INSERT INTO shacache.blob (sha512, size, account_id)
        SELECT sha512, bytes, account_id FROM stored WHERE verdict = 'new'
        RETURNING account_id, size
    ), counted AS (
        -- Each session adds to one of sixteen sums, so that uploads of one account rarely wait for each other's commit.
        INSERT INTO shacache.account_usage AS usage (account_id, shard, blobs, bytes)
        SELECT account_id, pg_backend_pid() % 16, count(*), sum(size) FROM added GROUP BY account_id ORDER BY account_id
        ON CONFLICT (account_id, shard)
        DO UPDATE SET blobs = usage.blobs + excluded.blobs, bytes = usage.bytes + excluded.bytes
    )
    INSERT INTO shacache.upload (
        account_id, certificate, client_address, target, sha512, bytes, duplicate, outcome, status, duration, request_id)
    SELECT account_id, certificate, client_address, 'blob', sha512, bytes, verdict = 'duplicate', 'accepted', 201,
        duration, request_id
    FROM stored ORDER BY nth;
END
$$;
COMMENT ON FUNCTION shacache.record_blobs(shacache.blob_upload[], text[]) IS
    'Writes what was decided under the locks of the blobs: new or duplicate; of NULL, nothing.';

REVOKE ALL ON FUNCTION shacache.record_entries(shacache.entry_upload[], text[]),
    shacache.store_entries(shacache.entry_upload[], bigint, bigint, bigint, bigint),
    shacache.admit_blobs(shacache.blob_upload[]), shacache.record_blobs(shacache.blob_upload[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shacache.record_entries(shacache.entry_upload[], text[]),
    shacache.store_entries(shacache.entry_upload[], bigint, bigint, bigint, bigint),
    shacache.admit_blobs(shacache.blob_upload[]), shacache.record_blobs(shacache.blob_upload[], text[]) TO shacache_worker;
