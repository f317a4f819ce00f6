-- Uploads in one or two round trips, and several uploads of a process in one transaction.
--
-- plan_cache_mode: each plan is made once for a session; planning anew takes longer than all else. enable_seqscan: so
-- it may be made while the tables are empty. jit: the cost that this gives to the scan of a small table makes
-- PostgreSQL compile the plan, at 60 ms each time.

-- Their results had other types in earlier releases, which CREATE OR REPLACE can't change.
DROP FUNCTION IF EXISTS shacache.record_entries(shacache.entry_upload[], text[]),
    shacache.store_entries(shacache.entry_upload[], bigint, bigint, bigint, bigint);

CREATE FUNCTION shacache.record_entries(uploads shacache.entry_upload[], verdicts text[])
    RETURNS TABLE (ordinal bigint, stored shacache.entry)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM shacache.hold_feed();
    RETURN QUERY
    WITH upload AS MATERIALIZED (
        SELECT *, verdicts[ordinality] AS verdict FROM unnest(uploads) WITH ORDINALITY AS upload
        WHERE verdicts[ordinality] IS NOT NULL
    ), touched AS (
        UPDATE shacache.blob SET last_referenced_at = now(), deleting_at = NULL, left_by = NULL
        WHERE blob.sha512 = ANY (ARRAY(SELECT upload.sha512 FROM upload))
        RETURNING blob.sha512
    ), older AS MATERIALIZED (
        -- Once an hour: each time writes the row, and all of its index entries, anew. Without waiting: who has the row
        -- locked, and not the key, is about to hide it.
        SELECT entry.id FROM shacache.entry JOIN upload
            ON upload.verdict = 'duplicate' AND entry.key = upload.key AND entry.digest = upload.digest
        WHERE coalesce(entry.renewed_at, entry.created_at) < now() - interval '1 hour'
        FOR NO KEY UPDATE OF entry SKIP LOCKED
    ), renewed AS (
        UPDATE shacache.entry SET renewed_at = now() FROM older WHERE entry.id = older.id
    ), added AS (
        INSERT INTO shacache.entry AS made (
            key, metadata, signature, digest, sha512, account_id, certificate, signature_result, signer_id, software_url,
            multiarch, os)
        SELECT key, metadata, signature, digest, sha512, account_id, certificate, signature_result, signer_id,
            software_url, multiarch, os
        FROM upload WHERE verdict = 'new' ORDER BY ordinality
        RETURNING id, key, digest, sha512, created_at, made
    ), counted AS (
        -- Under the lock of each key: no other transaction has these rows locked.
        INSERT INTO shacache.key_count AS known (key, entries, last_at)
        SELECT key, count(*), max(created_at) FROM added GROUP BY key ORDER BY key
        ON CONFLICT (key) DO UPDATE
        SET entries = known.entries + excluded.entries, last_at = greatest(known.last_at, excluded.last_at)
    ), before_blob AS (
        INSERT INTO shacache.entry_before_blob (created_at, entry_id)
        SELECT created_at, id FROM added WHERE NOT EXISTS (SELECT FROM touched WHERE touched.sha512 = added.sha512)
    ), recorded AS (
        INSERT INTO shacache.upload (
            account_id, certificate, client_address, target, key, sha512, bytes, duplicate, signature_result, signer_id,
            outcome, status, duration, request_id)
        SELECT account_id, certificate, client_address, 'entry', key, sha512, bytes, verdict = 'duplicate',
            signature_result, signer_id, 'accepted', 201, duration, request_id
        FROM upload ORDER BY ordinality
    )
    SELECT upload.ordinality, coalesce(added.made, present.kept)
    FROM upload
    LEFT JOIN added ON added.key = upload.key AND added.digest = upload.digest
    LEFT JOIN LATERAL (
        SELECT kept FROM shacache.entry AS kept
        WHERE upload.verdict = 'duplicate' AND kept.key = upload.key AND kept.digest = upload.digest OFFSET 0
    ) AS present ON true;
END
$$;
COMMENT ON FUNCTION shacache.record_entries(shacache.entry_upload[], text[]) IS
    'Stores and records the uploads by their verdicts, new or duplicate, under the locks of the keys; skips NULL. '
    'Returns the entry of each, for the journal; of a duplicate NULL when the key has it in another encoding.';

CREATE FUNCTION shacache.store_entries(
    uploads shacache.entry_upload[], most_entries bigint, most_bytes bigint, most_own_entries bigint, most_own_bytes bigint
) RETURNS TABLE (verdict text, stored shacache.entry)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    locked boolean[];
    counted bigint[];
    referenced bytea[];
    verdicts text[];
BEGIN
    -- Without waiting: an upload that doesn't get its lock here takes a transaction of its own, and delays no other. In
    -- a statement of its own: the snapshot of one that locks lacks what was committed before it got the lock.
    IF NOT pg_try_advisory_xact_lock_shared(4, 0) THEN
        RETURN QUERY SELECT NULL::text, NULL::shacache.entry FROM unnest(uploads);
        RETURN;
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
        SELECT *, row_number() OVER (PARTITION BY account_id ORDER BY ordinality) AS nth_of_account
        FROM unnest(uploads) WITH ORDINALITY AS upload
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
            WHEN NOT locked[upload.ordinality] OR account.id IS NULL THEN NULL
            WHEN upload.identity <> identity.number OR identity.number IS NULL THEN NULL
            WHEN upload.signers <> signers.version THEN NULL
            WHEN upload.sha512 <> ALL (referenced)
                AND EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = upload.sha512) THEN NULL
            WHEN present.is_duplicate THEN 'duplicate'
            -- The row may have another encoding of the same signature, or be withdrawn.
            WHEN present.is_similar THEN NULL
            WHEN upload.nth_of_account > account.left_today
                OR present.own_entries >= least(most_own_entries, account.entries_per_key_limit)
                OR present.own_bytes + size > most_own_bytes
                OR present.entries >= most_entries
                OR present.bytes + size > most_bytes THEN NULL
            ELSE 'new'
        END ORDER BY upload.ordinality)
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
    RETURN QUERY
    SELECT verdicts[ordinality], recorded.stored
    FROM generate_subscripts(uploads, 1) AS ordinality
    LEFT JOIN shacache.record_entries(uploads, verdicts) AS recorded ON recorded.ordinal = ordinality
    ORDER BY ordinality;
END
$$;
COMMENT ON FUNCTION shacache.store_entries(shacache.entry_upload[], bigint, bigint, bigint, bigint) IS
    'Stores the entries of the fast path, and returns for each, in their order, whether it was new or a duplicate, and '
    'its row, for the journal. NULL: this one needs a transaction of its own, for whatever reason; nothing of it was '
    'written.';

REVOKE ALL ON FUNCTION shacache.record_entries(shacache.entry_upload[], text[]),
    shacache.store_entries(shacache.entry_upload[], bigint, bigint, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shacache.record_entries(shacache.entry_upload[], text[]),
    shacache.store_entries(shacache.entry_upload[], bigint, bigint, bigint, bigint) TO shacache_worker, shacache_admin;
