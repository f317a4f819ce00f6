-- What people may ask with psql. Views run with their owner's rights, so shacache_report needs
-- none on the tables. Each is ordered so that its first rows are the ones to look at first.
CREATE SCHEMA report;

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
ORDER BY upload.at DESC, upload.id DESC;
COMMENT ON VIEW report.upload IS 'Who tried to upload what, when, and what came of it?';
COMMENT ON COLUMN report.upload.account IS 'Empty when the request did not prove to be any account''s.';
COMMENT ON COLUMN report.upload.sha512 IS 'Of a blob: its own. Of an entry: the blob that it names.';
COMMENT ON COLUMN report.upload.bytes IS 'Length of the blob, or of the entry itself (not of the blob that it names).';
COMMENT ON COLUMN report.upload.duplicate IS 'True when we already had it.';
COMMENT ON COLUMN report.upload.certificate IS 'SHA-256 of the client certificate that was shown, also when we do not know it.';
COMMENT ON COLUMN report.upload.request_id IS 'The same as in the logs of nginx and shacached.';

CREATE VIEW report.uploads_by_day AS
SELECT
    (at AT TIME ZONE 'UTC')::date AS day,
    count(*) AS uploads,
    count(*) FILTER (WHERE outcome = 'accepted') AS accepted,
    count(*) FILTER (WHERE outcome = 'refused') AS refused,
    count(*) FILTER (WHERE outcome = 'failed') AS failed,
    count(*) FILTER (WHERE outcome = 'accepted' AND target = 'blob') AS blobs,
    count(*) FILTER (WHERE outcome = 'accepted' AND target = 'entry') AS entries,
    count(*) FILTER (WHERE outcome = 'accepted' AND duplicate) AS duplicates,
    coalesce(sum(bytes) FILTER (WHERE outcome = 'accepted'), 0) AS bytes,
    coalesce(sum(bytes) FILTER (WHERE outcome = 'accepted' AND NOT duplicate), 0) AS new_bytes
FROM shacache.upload
GROUP BY day
ORDER BY day DESC;
COMMENT ON VIEW report.uploads_by_day IS 'How much was uploaded on each day (in UTC)?';
COMMENT ON COLUMN report.uploads_by_day.bytes IS 'Of accepted uploads, duplicates included; new_bytes leaves those out.';

-- From here on, many rows are added up first and the few names are joined to the sums.
CREATE VIEW report.uploads_by_account AS
SELECT
    account.name AS account,
    account.disabled_at,
    coalesce(total.uploads, 0) AS uploads,
    coalesce(total.accepted, 0) AS accepted,
    coalesce(total.refused, 0) AS refused,
    coalesce(total.failed, 0) AS failed,
    coalesce(total.blobs, 0) AS blobs,
    coalesce(total.entries, 0) AS entries,
    coalesce(total.duplicates, 0) AS duplicates,
    coalesce(total.bytes, 0) AS bytes,
    coalesce(total.new_bytes, 0) AS new_bytes,
    total.last_at
FROM shacache.account
FULL JOIN (
    SELECT
        account_id,
        count(*) AS uploads,
        count(*) FILTER (WHERE outcome = 'accepted') AS accepted,
        count(*) FILTER (WHERE outcome = 'refused') AS refused,
        count(*) FILTER (WHERE outcome = 'failed') AS failed,
        count(*) FILTER (WHERE outcome = 'accepted' AND target = 'blob') AS blobs,
        count(*) FILTER (WHERE outcome = 'accepted' AND target = 'entry') AS entries,
        count(*) FILTER (WHERE outcome = 'accepted' AND duplicate) AS duplicates,
        sum(bytes) FILTER (WHERE outcome = 'accepted') AS bytes,
        sum(bytes) FILTER (WHERE outcome = 'accepted' AND NOT duplicate) AS new_bytes,
        max(at) AS last_at
    FROM shacache.upload
    GROUP BY account_id
) AS total ON total.account_id = account.id
ORDER BY bytes DESC, uploads DESC, account;
COMMENT ON VIEW report.uploads_by_account IS 'Who uploads how much, and how much of it is refused?';
COMMENT ON COLUMN report.uploads_by_account.account IS 'Empty: requests that did not prove to be any account''s.';
COMMENT ON COLUMN report.uploads_by_account.bytes IS 'Of accepted uploads, duplicates included; new_bytes leaves those out.';

CREATE VIEW report.uploads_by_signer AS
SELECT
    coalesce(total.signature, 'verified') AS signature,
    signer.name AS signer,
    signer.revoked_at,
    coalesce(total.uploads, 0) AS uploads,
    coalesce(total.accepted, 0) AS accepted,
    coalesce(total.refused, 0) AS refused,
    coalesce(total.failed, 0) AS failed,
    coalesce(total.duplicates, 0) AS duplicates,
    coalesce(total.bytes, 0) AS bytes,
    coalesce(named.bytes, 0) AS named_bytes,
    total.last_at
FROM shacache.signer
FULL JOIN (
    SELECT
        coalesce(signature_result, 'not checked') AS signature,
        signer_id,
        count(*) AS uploads,
        count(*) FILTER (WHERE outcome = 'accepted') AS accepted,
        count(*) FILTER (WHERE outcome = 'refused') AS refused,
        count(*) FILTER (WHERE outcome = 'failed') AS failed,
        count(*) FILTER (WHERE outcome = 'accepted' AND duplicate) AS duplicates,
        sum(bytes) FILTER (WHERE outcome = 'accepted') AS bytes,
        max(at) AS last_at
    FROM shacache.upload
    WHERE target = 'entry'
    GROUP BY signature, signer_id
) AS total ON total.signer_id = signer.id
LEFT JOIN (
    SELECT signature_result AS signature, signer_id, sum(blob.size) AS bytes
    FROM (SELECT DISTINCT signature_result, signer_id, sha512 FROM shacache.entry) AS once
    JOIN shacache.blob USING (sha512)
    GROUP BY signature, signer_id
) AS named
    ON named.signature = coalesce(total.signature, 'verified')
    AND named.signer_id IS NOT DISTINCT FROM signer.id
ORDER BY uploads DESC, signature, signer;
COMMENT ON VIEW report.uploads_by_signer IS 'Whose signatures do the uploaded entries carry, and for how much do they vouch?';
COMMENT ON COLUMN report.uploads_by_signer.signature IS 'verified (by this signer), unsigned, unknown signer, or not checked (refused before).';
COMMENT ON COLUMN report.uploads_by_signer.bytes IS 'Of the accepted entries themselves, duplicates included.';
COMMENT ON COLUMN report.uploads_by_signer.named_bytes IS 'Of the stored blobs that these entries name, each blob once.';

-- The newest row of each reason is found by its id alone, so that no details are sorted.
CREATE VIEW report.refusals_by_reason AS
SELECT
    total.outcome,
    total.reason,
    total.uploads,
    total.last_at,
    example.status AS example_status,
    account.name AS example_account,
    example.detail AS example_detail,
    example.request_id AS example_request_id
FROM (
    SELECT outcome, reason, count(*) AS uploads, max(at) AS last_at, max(id) AS example_id
    FROM shacache.upload
    WHERE outcome <> 'accepted'
    GROUP BY outcome, reason
) AS total
JOIN shacache.upload AS example ON example.id = total.example_id
LEFT JOIN shacache.account ON account.id = example.account_id
ORDER BY total.uploads DESC, total.outcome, total.reason;
COMMENT ON VIEW report.refusals_by_reason IS 'Why were uploads not accepted: what was wrong with them (refused) or with us (failed)?';
COMMENT ON COLUMN report.refusals_by_reason.example_detail IS 'This and the other examples are of the latest upload with this reason.';

CREATE VIEW report.space_by_account AS
SELECT
    account.name AS account,
    account.disabled_at,
    coalesce(stored.blobs, 0) AS stored_blobs,
    coalesce(stored.bytes, 0) AS stored_bytes,
    coalesce(uploaded.blobs, 0) AS uploaded_blobs,
    coalesce(uploaded.bytes, 0) AS uploaded_bytes,
    round(100 * uploaded.duplicate_bytes / nullif(uploaded.bytes, 0), 1) AS deduplicated_percent
FROM shacache.account
LEFT JOIN (
    SELECT account_id, count(*) AS blobs, sum(size) AS bytes
    FROM shacache.blob
    GROUP BY account_id
) AS stored ON stored.account_id = account.id
LEFT JOIN (
    SELECT
        account_id,
        count(*) AS blobs,
        sum(bytes) AS bytes,
        coalesce(sum(bytes) FILTER (WHERE duplicate), 0) AS duplicate_bytes
    FROM shacache.upload
    WHERE outcome = 'accepted' AND target = 'blob'
    GROUP BY account_id
) AS uploaded ON uploaded.account_id = account.id
ORDER BY stored_bytes DESC, uploaded_bytes DESC, account;
COMMENT ON VIEW report.space_by_account IS 'Whose blobs fill the store, and how much did deduplication save?';
COMMENT ON COLUMN report.space_by_account.stored_bytes IS 'Of the blobs that this account was the first to upload.';
COMMENT ON COLUMN report.space_by_account.uploaded_bytes IS 'Of all its accepted blobs, those included that we already had.';
COMMENT ON COLUMN report.space_by_account.deduplicated_percent IS 'The part of uploaded_bytes that we already had.';

-- What stands beside each size is looked up for the rows that are shown, not for all.
CREATE VIEW report.largest_blobs AS
SELECT
    blob.size AS bytes,
    account.name AS account,
    blob.created_at,
    blob.last_referenced_at,
    (SELECT count(*) FROM shacache.entry WHERE entry.sha512 = blob.sha512) AS entries,
    (SELECT key FROM shacache.entry WHERE entry.sha512 = blob.sha512 ORDER BY id LIMIT 1) AS first_key,
    encode(blob.sha512, 'hex') AS sha512
FROM shacache.blob
JOIN shacache.account ON account.id = blob.account_id
ORDER BY blob.size DESC, blob.sha512;
COMMENT ON VIEW report.largest_blobs IS 'Which blobs take the most space, and what are they?';
COMMENT ON COLUMN report.largest_blobs.account IS 'Who uploaded it first.';
COMMENT ON COLUMN report.largest_blobs.entries IS 'How many entries name it; first_key is the key of the oldest of them.';

CREATE VIEW report.entries_without_blob AS
SELECT
    date_trunc('second', now() - entry.created_at) AS age,
    entry.created_at,
    entry.key,
    account.name AS account,
    entry.signature_result AS signature,
    signer.name AS signer,
    encode(entry.sha512, 'hex') AS sha512
FROM shacache.entry
JOIN shacache.account ON account.id = entry.account_id
LEFT JOIN shacache.signer ON signer.id = entry.signer_id
WHERE NOT EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = entry.sha512)
ORDER BY entry.created_at, entry.id;
COMMENT ON VIEW report.entries_without_blob IS 'Which entries name a blob that nobody has uploaded (yet)?';

CREATE VIEW report.binary_cache_by_platform AS
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
    FROM shacache.entry
    LEFT JOIN shacache.blob USING (sha512)
    WHERE entry.software_url IS NOT NULL OR entry.multiarch IS NOT NULL OR entry.os IS NOT NULL
) AS binary_entry
GROUP BY multiarch, os
ORDER BY entries DESC, multiarch, os;
COMMENT ON VIEW report.binary_cache_by_platform IS 'For which platforms does the binary cache hold how many software releases?';
COMMENT ON COLUMN report.binary_cache_by_platform.os IS 'As the entry says: distribution, version, name.';
COMMENT ON COLUMN report.binary_cache_by_platform.bytes IS 'Of the stored blobs that these entries name, each blob once.';

-- Counting alone reads no more than an index; the rest is looked up for the keys that are shown.
CREATE VIEW report.keys_with_most_entries AS
SELECT counted.key, counted.entries, detail.accounts, detail.blobs, detail.bytes, detail.first_at, detail.last_at
FROM (
    SELECT key, count(*) AS entries
    FROM shacache.entry
    GROUP BY key
    ORDER BY entries DESC, key
) AS counted
CROSS JOIN LATERAL (
    SELECT
        count(DISTINCT account_id) AS accounts,
        count(DISTINCT sha512) AS blobs,
        sum(octet_length(metadata) + octet_length(signature)) AS bytes,
        min(created_at) AS first_at,
        max(created_at) AS last_at
    FROM shacache.entry
    WHERE entry.key = counted.key
) AS detail
ORDER BY counted.entries DESC, counted.key;
COMMENT ON VIEW report.keys_with_most_entries IS 'Which keys come near the limit of entries that a key may have?';
COMMENT ON COLUMN report.keys_with_most_entries.bytes IS 'Of the metadata and signatures, as stored.';

REVOKE ALL ON SCHEMA report FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA report FROM PUBLIC;
GRANT USAGE ON SCHEMA report TO shacache_report;
GRANT SELECT ON ALL TABLES IN SCHEMA report TO shacache_report;
