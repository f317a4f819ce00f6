-- The reports, for psql, Metabase, a spreadsheet and `shacache-admin report`. Views run with their owner's rights, so who
-- reads them needs none on the tables. Each is ordered so that its first rows are the ones to look at first.
-- A comment's last sentence names the settings (0005) that its view obeys. Views of sums ask for them in subqueries, which
-- are done once and not for every row; views of single rows without, since the planner then knows how much is asked for.
DROP VIEW report.largest_blobs, report.entries_without_blob, report.binary_cache_by_platform, report.keys_with_most_entries;

CREATE INDEX blob_by_size ON shacache.blob (size);
CREATE INDEX entry_by_time ON shacache.entry (created_at);
CREATE INDEX entry_of_binary_cache ON shacache.entry (created_at)
    WHERE software_url IS NOT NULL OR multiarch IS NOT NULL OR os IS NOT NULL;

CREATE INDEX entry_of_unknown_signer ON shacache.entry (created_at) WHERE signature_result = 'unknown signer';

-- Sums that can be added up further, each kind in a column of its own.
CREATE VIEW shacache.upload_figures AS
SELECT
    day,
    account_id,
    target,
    outcome,
    reason,
    signature_result,
    signer_id,
    last_at,
    last_id,
    uploads,
    CASE WHEN outcome = 'accepted' THEN uploads ELSE 0 END AS accepted,
    CASE WHEN outcome = 'refused' THEN uploads ELSE 0 END AS refused,
    CASE WHEN outcome = 'failed' THEN uploads ELSE 0 END AS failed,
    CASE WHEN outcome = 'accepted' AND target = 'blob' THEN uploads ELSE 0 END AS blobs,
    CASE WHEN outcome = 'accepted' AND target = 'entry' THEN uploads ELSE 0 END AS entries,
    CASE WHEN outcome = 'accepted' AND duplicate THEN uploads ELSE 0 END AS duplicates,
    CASE WHEN outcome = 'accepted' THEN bytes ELSE 0 END AS bytes,
    CASE WHEN outcome = 'accepted' AND NOT duplicate THEN bytes ELSE 0 END AS new_bytes
FROM shacache.upload_sum
WHERE (SELECT report.account()) IS NULL
    OR account_id = (SELECT id FROM shacache.account WHERE name = (SELECT report.account()));
COMMENT ON VIEW shacache.upload_figures IS 'upload_sum in columns, of the account that is asked for.';

CREATE VIEW shacache.asked_upload_figures AS
SELECT *
FROM shacache.upload_figures
WHERE day >= coalesce((SELECT report.since()), '-infinity') AND day <= coalesce((SELECT report.until()), 'infinity');
COMMENT ON VIEW shacache.asked_upload_figures IS 'upload_figures of the days that are asked for.';

CREATE VIEW report.upload AS
SELECT
    upload.id,
    upload.at,
    account.name AS account,
    upload.client_address,
    upload.target,
    upload.outcome,
    upload.status,
    upload.reason,
    upload.detail,
    upload.key,
    upload.bytes,
    upload.duplicate,
    upload.signature_result AS signature,
    signer.name AS signer,
    upload.duration,
    encode(upload.sha512, 'hex') AS sha512,
    encode(upload.certificate, 'hex') AS certificate,
    upload.request_id
FROM shacache.upload
LEFT JOIN shacache.account ON account.id = upload.account_id
LEFT JOIN shacache.signer ON signer.id = upload.signer_id
WHERE upload.at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND upload.at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (
        report.account() IS NULL
        OR upload.account_id = (SELECT id FROM shacache.account WHERE name = report.account()))
ORDER BY upload.at DESC, upload.id DESC;
COMMENT ON VIEW report.upload IS
    'Who tried to upload what, when, and what came of it? Obeys since, until, account; of the months that are kept.';
COMMENT ON COLUMN report.upload.account IS 'Empty when the request did not prove to be any account''s.';
COMMENT ON COLUMN report.upload.sha512 IS 'Of a blob: its own. Of an entry: the blob that it names.';
COMMENT ON COLUMN report.upload.bytes IS 'Length of the blob, or of the entry itself (not of the blob that it names).';
COMMENT ON COLUMN report.upload.duplicate IS 'True when we already had it.';
COMMENT ON COLUMN report.upload.certificate IS 'SHA-256 of the client certificate that was shown, also when we do not know it.';
COMMENT ON COLUMN report.upload.request_id IS 'The same as in the logs of nginx and shacached.';

CREATE VIEW report.uploads AS
SELECT
    day,
    sum(uploads)::bigint AS uploads,
    sum(accepted)::bigint AS accepted,
    sum(refused)::bigint AS refused,
    sum(failed)::bigint AS failed,
    sum(blobs)::bigint AS blobs,
    sum(entries)::bigint AS entries,
    sum(duplicates)::bigint AS duplicates,
    sum(bytes) AS bytes,
    sum(new_bytes) AS new_bytes
FROM shacache.asked_upload_figures
GROUP BY day
ORDER BY day DESC;
COMMENT ON VIEW report.uploads IS 'How much was uploaded on each day (in UTC)? Obeys since, until, account.';
COMMENT ON COLUMN report.uploads.blobs IS 'This and the columns after it are of accepted uploads.';
COMMENT ON COLUMN report.uploads.bytes IS 'Duplicates included; new_bytes leaves those out.';

-- The newest row of each reason is found by its id alone, so that no details are sorted.
CREATE VIEW report.refusals AS
SELECT
    total.outcome,
    total.reason,
    total.uploads,
    total.accounts,
    total.last_at,
    example.status AS example_status,
    account.name AS example_account,
    example.detail AS example_detail,
    example.request_id AS example_request_id
FROM (
    SELECT
        outcome,
        reason,
        sum(uploads)::bigint AS uploads,
        count(DISTINCT account_id) AS accounts,
        max(last_at) AS last_at,
        max(last_id) AS last_id
    FROM shacache.asked_upload_figures
    WHERE outcome <> 'accepted'
    GROUP BY outcome, reason
) AS total
LEFT JOIN shacache.upload AS example ON example.id = total.last_id
LEFT JOIN shacache.account ON account.id = example.account_id
ORDER BY total.uploads DESC, total.outcome, total.reason;
COMMENT ON VIEW report.refusals IS
    'Why were uploads not accepted: what was wrong with them (refused) or with us (failed)? Obeys since, until, account.';
COMMENT ON COLUMN report.refusals.accounts IS 'How many accounts they are of, beside requests that proved to be no account''s.';
COMMENT ON COLUMN report.refusals.example_detail IS
    'This and the other examples are of the latest upload with this reason; empty when its month was dropped.';

CREATE VIEW report.accounts AS
SELECT
    account.name AS account,
    account.disabled_at,
    coalesce(stored.blobs, 0) AS stored_blobs,
    coalesce(stored.bytes, 0) AS stored_bytes,
    coalesce(total.uploads, 0) AS uploads,
    coalesce(total.accepted, 0) AS accepted,
    coalesce(total.refused, 0) AS refused,
    coalesce(total.failed, 0) AS failed,
    round(100.0 * total.refused / total.uploads, 1) AS refused_percent,
    coalesce(total.blobs, 0) AS blobs,
    coalesce(total.entries, 0) AS entries,
    coalesce(total.duplicates, 0) AS duplicates,
    coalesce(total.bytes, 0) AS bytes,
    coalesce(total.new_bytes, 0) AS new_bytes,
    total.last_at,
    account.roles,
    account.key_prefixes,
    account.bytes_limit,
    round(100.0 * stored.bytes / nullif(account.bytes_limit, 0), 1) AS bytes_limit_percent,
    account.blobs_limit,
    account.blob_size_limit,
    account.entries_per_day_limit,
    account.entries_per_key_limit,
    account.comment
FROM shacache.account
LEFT JOIN (
    SELECT account_id, sum(blobs)::bigint AS blobs, sum(bytes) AS bytes FROM shacache.account_usage GROUP BY account_id
) AS stored ON stored.account_id = account.id
FULL JOIN (
    SELECT
        account_id,
        sum(uploads)::bigint AS uploads,
        sum(accepted)::bigint AS accepted,
        sum(refused)::bigint AS refused,
        sum(failed)::bigint AS failed,
        sum(blobs)::bigint AS blobs,
        sum(entries)::bigint AS entries,
        sum(duplicates)::bigint AS duplicates,
        sum(bytes) AS bytes,
        sum(new_bytes) AS new_bytes,
        max(last_at) AS last_at
    FROM shacache.asked_upload_figures
    GROUP BY account_id
) AS total ON total.account_id = account.id
WHERE report.account() IS NULL OR account.name = report.account()
ORDER BY bytes DESC, uploads DESC, account;
COMMENT ON VIEW report.accounts IS
    'Who may upload, who does, how much, and how much of it is refused? Obeys since, until (in what was uploaded), account.';
COMMENT ON COLUMN report.accounts.account IS 'Empty: requests that did not prove to be any account''s.';
COMMENT ON COLUMN report.accounts.stored_bytes IS 'Now, of the blobs that this account was the first to upload; what its limits count.';
COMMENT ON COLUMN report.accounts.bytes IS 'Of accepted uploads, duplicates included; new_bytes leaves those out.';

CREATE VIEW report.signers AS
SELECT
    coalesce(total.signature, 'verified') AS signature,
    signer.name AS signer,
    signer.revoked_at,
    signer.revoked_since,
    coalesce(total.uploads, 0) AS uploads,
    coalesce(total.accepted, 0) AS accepted,
    coalesce(total.refused, 0) AS refused,
    coalesce(total.failed, 0) AS failed,
    coalesce(total.duplicates, 0) AS duplicates,
    coalesce(total.accounts, 0) AS accounts,
    coalesce(total.bytes, 0) AS bytes,
    total.last_at
FROM shacache.signer
FULL JOIN (
    SELECT
        coalesce(signature_result, 'not checked') AS signature,
        signer_id,
        sum(uploads)::bigint AS uploads,
        sum(accepted)::bigint AS accepted,
        sum(refused)::bigint AS refused,
        sum(failed)::bigint AS failed,
        sum(duplicates)::bigint AS duplicates,
        count(DISTINCT account_id) AS accounts,
        sum(bytes) AS bytes,
        max(last_at) AS last_at
    FROM shacache.asked_upload_figures
    WHERE target = 'entry'
    GROUP BY signature, signer_id
) AS total ON total.signer_id = signer.id
ORDER BY uploads DESC, signature, signer;
COMMENT ON VIEW report.signers IS 'Whose signatures do the uploaded entries carry? Obeys since, until, account.';
COMMENT ON COLUMN report.signers.signature IS 'verified (by this signer), unsigned, unknown signer, or not checked (refused before).';
COMMENT ON COLUMN report.signers.accounts IS 'How many accounts uploaded entries with it.';
COMMENT ON COLUMN report.signers.bytes IS 'Of the accepted entries themselves, duplicates included.';

-- The rest is looked up for the keys that are shown.
CREATE VIEW report.keys AS
SELECT
    counted.key,
    counted.entries,
    detail.withdrawn,
    detail.accounts,
    detail.blobs,
    detail.bytes,
    detail.first_at,
    counted.last_at
FROM (
    -- In order, so that the first ones are found without the others.
    (SELECT key, entries, last_at FROM shacache.key_count WHERE report.account() IS NULL ORDER BY entries DESC, key)
    UNION ALL
    SELECT key, entries, last_at
    FROM shacache.key_count
    JOIN (
        SELECT DISTINCT key FROM shacache.entry
        WHERE account_id = (SELECT id FROM shacache.account WHERE name = report.account())
    ) AS own USING (key)
    WHERE report.account() IS NOT NULL
) AS counted
CROSS JOIN LATERAL (
    SELECT
        count(withdrawal_id) AS withdrawn,
        count(DISTINCT account_id) AS accounts,
        count(DISTINCT sha512) AS blobs,
        sum(octet_length(metadata) + octet_length(signature)) AS bytes,
        min(created_at) AS first_at
    FROM shacache.entry
    WHERE entry.key = counted.key
) AS detail
WHERE counted.last_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND counted.last_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
ORDER BY counted.entries DESC, counted.key;
COMMENT ON VIEW report.keys IS
    'Which keys come near the limit of entries that a key may have? Obeys since, until (in its last entry), account (who '
    'has put one of its entries; all are counted).';
COMMENT ON COLUMN report.keys.entries IS 'Withdrawn ones included, which the limit does not count.';
COMMENT ON COLUMN report.keys.bytes IS 'Of the metadata and signatures, as stored.';

CREATE VIEW report.platforms AS
SELECT
    multiarch,
    os,
    count(*) AS entries,
    count(DISTINCT key) AS software_releases,
    count(*) FILTER (WHERE size IS NULL) AS entries_without_blob,
    coalesce(sum(size) FILTER (WHERE nth_of_its_blob = 1), 0) AS bytes,
    max(created_at) AS last_at
FROM (
    SELECT
        entry.multiarch,
        entry.os,
        entry.key,
        entry.created_at,
        blob.size,
        row_number() OVER (PARTITION BY entry.multiarch, entry.os, entry.sha512) AS nth_of_its_blob
    FROM shacache.visible_entry AS entry
    LEFT JOIN shacache.blob USING (sha512)
    WHERE (entry.software_url IS NOT NULL OR entry.multiarch IS NOT NULL OR entry.os IS NOT NULL)
        AND entry.created_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
        AND entry.created_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
        AND (
            report.account() IS NULL
            OR entry.account_id = (SELECT id FROM shacache.account WHERE name = report.account()))
) AS binary_entry
GROUP BY multiarch, os
ORDER BY entries DESC, multiarch, os;
COMMENT ON VIEW report.platforms IS
    'For which platforms does the binary cache hold how many software releases? Obeys since, until, account.';
COMMENT ON COLUMN report.platforms.os IS 'As the entry says: distribution, version, name.';
COMMENT ON COLUMN report.platforms.bytes IS 'Of the stored blobs that these entries name, each blob once.';

-- Of every blob and entry that was stored, one upload was accepted that was no duplicate.
CREATE VIEW report.growth AS
SELECT day, blobs, bytes, total_blobs, total_bytes, entries, total_entries
FROM (
    SELECT
        day,
        blobs,
        bytes,
        sum(blobs) OVER by_day::bigint AS total_blobs,
        sum(bytes) OVER by_day AS total_bytes,
        entries,
        sum(entries) OVER by_day::bigint AS total_entries
    FROM (
        SELECT
            day,
            coalesce(sum(accepted - duplicates) FILTER (WHERE target = 'blob'), 0)::bigint AS blobs,
            coalesce(sum(new_bytes) FILTER (WHERE target = 'blob'), 0) AS bytes,
            coalesce(sum(accepted - duplicates) FILTER (WHERE target = 'entry'), 0)::bigint AS entries
        FROM shacache.upload_figures
        GROUP BY day
    ) AS each_day
    WINDOW by_day AS (ORDER BY day)
) AS running
WHERE day >= coalesce((SELECT report.since()), '-infinity') AND day <= coalesce((SELECT report.until()), 'infinity')
ORDER BY day DESC;
COMMENT ON VIEW report.growth IS 'How does the cache grow from day to day (in UTC)? Obeys since, until, account.';
COMMENT ON COLUMN report.growth.blobs IS 'New on that day. What was withdrawn since counts too: it lies on the disk.';
COMMENT ON COLUMN report.growth.total_blobs IS 'This and the other totals are of all days until the end of this one, also of those before since.';

CREATE VIEW report.duplicates AS
SELECT
    total.day,
    account.name AS account,
    total.blobs,
    total.bytes,
    total.duplicate_blobs,
    total.saved_bytes,
    round(100.0 * total.saved_bytes / nullif(total.bytes, 0), 1) AS saved_percent
FROM (
    SELECT
        day,
        account_id,
        sum(blobs)::bigint AS blobs,
        sum(bytes) AS bytes,
        sum(duplicates)::bigint AS duplicate_blobs,
        sum(bytes - new_bytes) AS saved_bytes
    FROM shacache.asked_upload_figures
    WHERE target = 'blob' AND outcome = 'accepted'
    GROUP BY day, account_id
) AS total
JOIN shacache.account ON account.id = total.account_id
ORDER BY total.day DESC, total.saved_bytes DESC, account.name;
COMMENT ON VIEW report.duplicates IS
    'How much did not have to be stored, because we had it already, by day and account? Obeys since, until, account.';
COMMENT ON COLUMN report.duplicates.blobs IS 'Accepted ones, those included that we already had; bytes likewise.';
COMMENT ON COLUMN report.duplicates.saved_bytes IS 'Of the blobs that we already had.';

-- What stands beside each size is looked up for the rows that are shown, not for all.
CREATE VIEW report.largest_blobs AS
SELECT
    blob.size AS bytes,
    account.name AS account,
    blob.created_at,
    blob.last_referenced_at,
    blob.withdrawal_id IS NOT NULL AS withdrawn,
    (SELECT count(*) FROM shacache.visible_entry AS entry WHERE entry.sha512 = blob.sha512) AS entries,
    (SELECT key FROM shacache.visible_entry AS entry WHERE entry.sha512 = blob.sha512 ORDER BY id LIMIT 1) AS first_key,
    encode(blob.sha512, 'hex') AS sha512
FROM shacache.blob
JOIN shacache.account ON account.id = blob.account_id
WHERE report.account() IS NULL OR account.name = report.account()
ORDER BY blob.size DESC, blob.sha512;
COMMENT ON VIEW report.largest_blobs IS 'Which blobs take the most space, and what are they? Obeys account.';
COMMENT ON COLUMN report.largest_blobs.account IS 'Who uploaded it first.';
COMMENT ON COLUMN report.largest_blobs.withdrawn IS 'It is hidden; its bytes lie on the disk nevertheless.';
COMMENT ON COLUMN report.largest_blobs.entries IS 'How many visible entries name it; first_key is the key of the oldest of them.';

CREATE VIEW report.entries_without_blob AS
SELECT
    date_trunc('second', now() - entry.created_at) AS age,
    entry.created_at,
    entry.key,
    account.name AS account,
    entry.signature_result AS signature,
    signer.name AS signer,
    entry.withdrawn,
    encode(entry.sha512, 'hex') AS sha512
FROM (
    SELECT *, false AS withdrawn FROM shacache.entry_of_missing_blob
    UNION ALL
    SELECT created_at, id, key, account_id, signature_result, signer_id, sha512, true FROM shacache.entry_of_withdrawn_blob
) AS entry
JOIN shacache.account ON account.id = entry.account_id
LEFT JOIN shacache.signer ON signer.id = entry.signer_id
WHERE entry.created_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND entry.created_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (
        report.account() IS NULL
        OR entry.account_id = (SELECT id FROM shacache.account WHERE name = report.account()))
ORDER BY entry.created_at, entry.id;
COMMENT ON VIEW report.entries_without_blob IS
    'Which entries name a blob that nobody has uploaded (yet), or that was withdrawn? Obeys since, until, account.';
COMMENT ON COLUMN report.entries_without_blob.withdrawn IS 'The blob was there, and is hidden.';

-- Thirty days, so that what nobody minds doesn't hide what is new.
CREATE VIEW report.entries_to_look_into AS
SELECT
    suspect.reason,
    date_trunc('second', now() - suspect.at) AS age,
    suspect.key,
    account.name AS account,
    suspect.entries,
    suspect.at,
    suspect.entry_id,
    encode(suspect.sha512, 'hex') AS sha512
FROM (
    SELECT 'unknown signer' AS reason, id AS entry_id, key, account_id, 1 AS entries, created_at AS at, sha512
    FROM shacache.visible_entry
    WHERE signature_result = 'unknown signer'
    UNION ALL
    SELECT 'no blob', id, key, account_id, 1, created_at, sha512
    FROM shacache.entry_of_missing_blob
    WHERE created_at < now() - interval '1 hour'
    UNION ALL
    SELECT 'withdrawn blob', id, key, account_id, 1, hidden_at, sha512
    FROM shacache.entry_of_withdrawn_blob
    UNION ALL
    SELECT 'lost blob', entry.id, entry.key, entry.account_id, 1, survey.at, entry.sha512
    FROM shacache.newest_survey AS survey
    JOIN shacache.survey_finding AS finding ON finding.survey_id = survey.id AND finding.kind = 'dangling'
    JOIN shacache.visible_entry AS entry ON entry.sha512 = decode(finding.name, 'hex')
    UNION ALL
    SELECT 'many entries', present.entry_id, key_count.key, present.account_id, present.entries, key_count.last_at, NULL
    FROM shacache.key_count
    CROSS JOIN LATERAL (
        SELECT
            max(id) AS entry_id,
            CASE WHEN min(account_id) = max(account_id) THEN max(account_id) END AS account_id,
            count(*) AS entries
        FROM shacache.visible_entry AS entry
        WHERE entry.key = key_count.key AND (
            report.account() IS NULL
            OR account_id = (SELECT id FROM shacache.account WHERE name = report.account()))
    ) AS present
    WHERE key_count.entries >= 100 AND present.entries >= 100
) AS suspect
LEFT JOIN shacache.account ON account.id = suspect.account_id
WHERE suspect.at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', now() - interval '30 days')
    AND suspect.at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (report.account() IS NULL OR account.name = report.account())
ORDER BY suspect.at DESC, suspect.entry_id DESC, suspect.reason;
COMMENT ON VIEW report.entries_to_look_into IS
    'Which entries should somebody look into, for something of the last thirty days? Obeys since (in place of the thirty '
    'days), until, account.';
COMMENT ON COLUMN report.entries_to_look_into.reason IS
    'unknown signer: signed by nobody who is registered; no blob: nobody has uploaded what it names, for an hour; '
    'withdrawn blob: what it names is hidden, but it is not; lost blob: the newest survey found no file of what it names; '
    'many entries: its key has a hundred or more, and clients check them one by one.';
COMMENT ON COLUMN report.entries_to_look_into.account IS 'Empty: the key''s entries are of several.';
COMMENT ON COLUMN report.entries_to_look_into.at IS
    'When it came to be so: the entry''s time; or that of its blob''s withdrawal, the survey, or the key''s last entry.';
COMMENT ON COLUMN report.entries_to_look_into.entry_id IS 'Of many entries, the newest.';

-- Whoever tells of expiry reads this one: the report below, `shacache-admin status` and the metrics.
CREATE VIEW shacache.certificate_in_use AS
SELECT
    certificate.fingerprint,
    account.name AS account,
    certificate.not_after,
    max(certificate.not_after) OVER (PARTITION BY certificate.account_id) AS account_until,
    certificate.subject,
    certificate.issuer,
    certificate.origin
FROM shacache.certificate
JOIN shacache.account ON account.id = certificate.account_id
WHERE certificate.revoked_at IS NULL AND account.disabled_at IS NULL;
COMMENT ON VIEW shacache.certificate_in_use IS
    'Those that somebody may count on: not revoked, and of enabled accounts. Expired ones, too.';
COMMENT ON COLUMN shacache.certificate_in_use.account_until IS 'When the last one of the account expires.';
GRANT SELECT ON shacache.certificate_in_use TO shacache_worker, shacache_admin;

CREATE VIEW report.expiring_certificates AS
SELECT
    account,
    encode(fingerprint, 'hex') AS fingerprint,
    not_after,
    floor(extract(epoch FROM not_after - now()) / 86400)::integer AS days_left,
    account_until,
    subject,
    issuer,
    origin
FROM shacache.certificate_in_use AS certificate
WHERE not_after BETWEEN now() - interval '60 days' AND now() + interval '60 days'
    AND (report.account() IS NULL OR account = report.account())
ORDER BY certificate.not_after, certificate.fingerprint;
COMMENT ON VIEW report.expiring_certificates IS
    'Which client certificates expire within sixty days, or did in the last sixty? Obeys account.';
COMMENT ON COLUMN report.expiring_certificates.days_left IS 'Whole days; negative when it has expired.';
COMMENT ON COLUMN report.expiring_certificates.account_until IS
    'When the last one of the account expires. A later one may be another machine''s: `shacache-admin status` knows the keys.';

CREATE VIEW report.withdrawals AS
SELECT
    withdrawal.id AS number,
    withdrawal.at,
    withdrawal.actor,
    account.name AS account,
    withdrawal.target,
    withdrawal.subject,
    withdrawal.reason,
    (SELECT count(*) FROM shacache.entry WHERE entry.withdrawal_id = withdrawal.id) AS hidden_entries,
    (SELECT count(*) FROM shacache.blob WHERE blob.withdrawal_id = withdrawal.id) AS hidden_blobs,
    (SELECT coalesce(sum(size), 0) FROM shacache.blob WHERE blob.withdrawal_id = withdrawal.id) AS hidden_bytes,
    withdrawal.lifted_at,
    withdrawal.lifted_by
FROM shacache.withdrawal
LEFT JOIN shacache.account ON account.id = withdrawal.account_id
WHERE withdrawal.at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND withdrawal.at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (report.account() IS NULL OR account.name = report.account())
ORDER BY withdrawal.at DESC, withdrawal.id DESC;
COMMENT ON VIEW report.withdrawals IS
    'What was withdrawn, by whom and why, and what of it is shown again? Obeys since, until, account.';
COMMENT ON COLUMN report.withdrawals.actor IS 'An operating system user with shacache-admin, or an account.';
COMMENT ON COLUMN report.withdrawals.account IS 'When an account did it.';
COMMENT ON COLUMN report.withdrawals.subject IS 'The hash, the key, or what else was named.';
COMMENT ON COLUMN report.withdrawals.hidden_entries IS 'This and the two columns after it are of what is hidden now: nothing when it was lifted.';

-- Of all views, also those of 0006 and 0007. `shacache-admin report` reads them as its own role.
GRANT USAGE ON SCHEMA report TO shacache_admin;
REVOKE ALL ON ALL TABLES IN SCHEMA report FROM PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA report TO shacache_report, shacache_admin;
