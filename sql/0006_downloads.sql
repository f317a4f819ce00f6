-- What was downloaded, by day (in UTC), as `shacache-admin ingest-log` counts it in nginx's access log.
CREATE TABLE shacache.blob_download (
    day date NOT NULL,
    sha512 bytea NOT NULL,
    whole bigint NOT NULL,
    partial bigint NOT NULL,
    probes bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (sha512, day),
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64),
    CONSTRAINT counts_are_not_negative CHECK (least(whole, partial, probes, bytes) >= 0)
);
-- Days come one after the other, and rows stay where they are.
CREATE INDEX blob_download_by_day ON shacache.blob_download USING brin (day);
COMMENT ON TABLE shacache.blob_download IS
    'Downloads of each blob. It need not be one of shacache.blob: a file that lost its row is served all the same.';
COMMENT ON COLUMN shacache.blob_download.partial IS 'Ranges, and what was cut off.';
COMMENT ON COLUMN shacache.blob_download.probes IS
    'Downloads that were closed unread: so the deployed clients ask whether a blob is there.';
COMMENT ON COLUMN shacache.blob_download.bytes IS 'Sent in whole and partial downloads.';
COMMENT ON COLUMN shacache.blob_download.day IS 'Of months that are kept as a whole: their first day. So in key_lookup.';

CREATE TABLE shacache.key_lookup (
    day date NOT NULL,
    key text COLLATE "C" NOT NULL,
    found bigint NOT NULL,
    not_found bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (key, day),
    CONSTRAINT counts_are_not_negative CHECK (least(found, not_found, bytes) >= 0)
);
CREATE INDEX key_lookup_by_day ON shacache.key_lookup USING brin (day);
CREATE INDEX key_lookup_in_vain ON shacache.key_lookup (day) WHERE found = 0;
COMMENT ON TABLE shacache.key_lookup IS 'Lookups of each key.';
COMMENT ON COLUMN shacache.key_lookup.key IS
    'Empty: the sum of all those keys that nobody ever listed and that are too many to keep on one day.';

CREATE TABLE shacache.download_day (
    day date NOT NULL,
    kind text NOT NULL,
    whole bigint NOT NULL,
    partial bigint NOT NULL,
    probes bigint NOT NULL,
    not_found bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (day, kind),
    CONSTRAINT kind_is_known CHECK (kind IN ('blob', 'key'))
);
COMMENT ON TABLE shacache.download_day IS
    'The sums of the two tables above, written with them: a chart of a year reads some hundred rows.';

CREATE TABLE shacache.log_position (
    fingerprint bytea PRIMARY KEY,
    host text NOT NULL,
    path text NOT NULL,
    position bigint NOT NULL,
    is_finished boolean NOT NULL DEFAULT false,
    read_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT fingerprint_is_sha256 CHECK (octet_length(fingerprint) = 32)
);
COMMENT ON TABLE shacache.log_position IS
    'How far each file of an access log was counted; moved in the transaction that adds up what was read.';
COMMENT ON COLUMN shacache.log_position.fingerprint IS
    'SHA-256 of how it begins, up to its first request id: rotation, compression and copies don''t change that.';
COMMENT ON COLUMN shacache.log_position.position IS 'In bytes of its text, also when the file has that in gzip.';
COMMENT ON COLUMN shacache.log_position.path IS 'What it was called when it was read last.';

-- What shacache-admin maintain does with them. ingest-log waits meanwhile: both write the same rows.

CREATE FUNCTION shacache.fold_missed_keys(kept integer) RETURNS bigint
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
    'Adds up the keys that nobody ever listed, on each day before so many: what of them is worth a row is of these days.';

-- One month a call, and so a transaction.
CREATE FUNCTION shacache.fold_download_month(kept integer) RETURNS date
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
    'Adds up the oldest month of which single days are left: kept is how many months before this one keep them. NULL: none.';

REVOKE ALL ON FUNCTION shacache.fold_missed_keys(integer), shacache.fold_download_month(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shacache.fold_missed_keys(integer), shacache.fold_download_month(integer) TO shacache_admin;

GRANT SELECT, INSERT ON shacache.blob_download, shacache.key_lookup, shacache.download_day, shacache.log_position
    TO shacache_admin;
GRANT UPDATE (whole, partial, probes, bytes) ON shacache.blob_download TO shacache_admin;
GRANT UPDATE (found, not_found, bytes) ON shacache.key_lookup TO shacache_admin;
GRANT UPDATE (whole, partial, probes, not_found, bytes) ON shacache.download_day TO shacache_admin;
GRANT UPDATE (path, position, is_finished, read_at) ON shacache.log_position TO shacache_admin;

CREATE VIEW report.downloads AS
SELECT
    day,
    kind,
    whole + partial + probes + not_found AS requests,
    whole,
    partial,
    probes,
    not_found,
    bytes
FROM shacache.download_day
WHERE day >= coalesce((SELECT report.since()), '-infinity') AND day <= coalesce((SELECT report.until()), 'infinity')
ORDER BY day DESC, kind;
COMMENT ON VIEW report.downloads IS 'How much was downloaded, and how many keys were looked up, on each day (in UTC)? Obeys since, until.';
COMMENT ON COLUMN report.downloads.kind IS 'blob; or key, of which whole counts those that were found.';
COMMENT ON COLUMN report.downloads.partial IS 'Ranges, and what was cut off. A download that is resumed is several of these.';
COMMENT ON COLUMN report.downloads.probes IS 'Closed unread, as clients do before they upload. Not in partial, nor in bytes.';
COMMENT ON COLUMN report.downloads.bytes IS 'What was sent, without heads of answers.';

-- Many rows are added up first, and put in order. What stands beside a sum is looked up for those that are shown.
CREATE VIEW report.downloaded_blobs AS
SELECT
    total.whole,
    total.partial,
    total.probes,
    total.bytes,
    total.first_day,
    total.last_day,
    blob.size,
    blob.account,
    (SELECT key FROM shacache.visible_entry AS entry WHERE entry.sha512 = total.sha512 ORDER BY id LIMIT 1) AS first_key,
    encode(total.sha512, 'hex') AS sha512
FROM (
    SELECT
        sha512,
        sum(whole)::bigint AS whole,
        sum(partial)::bigint AS partial,
        sum(probes)::bigint AS probes,
        sum(bytes)::bigint AS bytes,
        min(day) AS first_day,
        max(day) AS last_day
    FROM shacache.blob_download
    WHERE day >= coalesce((SELECT report.since()), '-infinity') AND day <= coalesce((SELECT report.until()), 'infinity')
    GROUP BY sha512
    ORDER BY sum(bytes)::bigint DESC, sum(whole)::bigint DESC, sha512
) AS total
LEFT JOIN LATERAL (
    SELECT size, (SELECT name FROM shacache.account WHERE id = account_id) AS account
    FROM shacache.blob WHERE blob.sha512 = total.sha512
    OFFSET 0
) AS blob ON true
WHERE report.account() IS NULL OR blob.account = report.account()
ORDER BY total.bytes DESC, total.whole DESC, total.sha512;
COMMENT ON VIEW report.downloaded_blobs IS 'Which blobs are downloaded most? Obeys since, until, account.';
COMMENT ON COLUMN report.downloaded_blobs.account IS 'Who uploaded it first.';
COMMENT ON COLUMN report.downloaded_blobs.size IS 'Empty when nobody has uploaded it (any more).';
COMMENT ON COLUMN report.downloaded_blobs.first_key IS 'The key of the oldest visible entry that names it.';

CREATE VIEW report.downloaded_keys AS
SELECT
    nullif(total.key, '') AS key,
    total.found,
    total.not_found,
    total.bytes,
    total.first_day,
    total.last_day
FROM (
    SELECT
        key,
        sum(found)::bigint AS found,
        sum(not_found)::bigint AS not_found,
        sum(bytes)::bigint AS bytes,
        min(day) AS first_day,
        max(day) AS last_day
    FROM shacache.key_lookup
    WHERE day >= coalesce((SELECT report.since()), '-infinity') AND day <= coalesce((SELECT report.until()), 'infinity')
    GROUP BY key
) AS total
WHERE report.account() IS NULL OR EXISTS (
    SELECT FROM shacache.entry JOIN shacache.account ON account.id = entry.account_id
    WHERE entry.key = total.key AND account.name = report.account()
)
ORDER BY total.found + total.not_found DESC, total.key;
COMMENT ON VIEW report.downloaded_keys IS 'Which keys are looked up most, and which in vain? Obeys since, until, account.';
COMMENT ON COLUMN report.downloaded_keys.key IS
    'Empty: all those together that nobody ever listed and that were too many on one day.';

CREATE VIEW report.never_downloaded AS
SELECT
    blob.size,
    date_trunc('second', now() - blob.created_at) AS age,
    blob.created_at,
    account.name AS account,
    (SELECT count(*) FROM shacache.visible_entry AS entry WHERE entry.sha512 = blob.sha512) AS entries,
    (SELECT key FROM shacache.visible_entry AS entry WHERE entry.sha512 = blob.sha512 ORDER BY id LIMIT 1) AS first_key,
    encode(blob.sha512, 'hex') AS sha512
FROM shacache.blob
JOIN shacache.account ON account.id = blob.account_id
WHERE blob.withdrawal_id IS NULL
    AND NOT EXISTS (
        SELECT FROM shacache.blob_download AS download
        WHERE download.sha512 = blob.sha512 AND download.whole + download.partial > 0
    )
    AND blob.created_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND blob.created_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (report.account() IS NULL OR account.name = report.account())
ORDER BY blob.size DESC, blob.sha512;
COMMENT ON VIEW report.never_downloaded IS
    'Which blobs has nobody downloaded, whole or in part, since they were uploaded? Obeys since, until (in the upload), account.';
COMMENT ON COLUMN report.never_downloaded.created_at IS 'What since and until are compared with.';
COMMENT ON COLUMN report.never_downloaded.account IS 'Who uploaded it first.';
COMMENT ON COLUMN report.never_downloaded.entries IS 'How many visible entries name it; first_key is the key of the oldest of them.';

REVOKE ALL ON report.downloads, report.downloaded_blobs, report.downloaded_keys, report.never_downloaded FROM PUBLIC;
GRANT SELECT ON report.downloads, report.downloaded_blobs, report.downloaded_keys, report.never_downloaded
    TO shacache_report;
