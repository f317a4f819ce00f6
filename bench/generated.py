"""SQL that makes up a record of uploads, what they stored, and what was downloaded, surveyed and withdrawn since. The same
number always gives the same upload, so that what was stored can be made beside it, in another session."""

# Upload i of {uploads}. An entry (odd) names the blob before it; a duplicate is of one from before.
UPLOAD = """
    SELECT i, now() - interval '24 months' + (i::float8 / {uploads}) * (now() - (now() - interval '24 months')) AS at,
        1 + floor(50 * power((h & 1023) / 1024.0, 2))::bigint AS account_id,
        CASE WHEN i % 2 = 0 THEN 'blob' ELSE 'entry' END AS target,
        CASE WHEN h >> 10 & 31 = 0 THEN 'refused' ELSE 'accepted' END AS outcome,
        h >> 15 & 7 = 0 AS duplicate,
        CASE WHEN i % 2 = 0 THEN 20 * (1 + h >> 20 & 65535) ELSE 400 + (h >> 20 & 255) END AS bytes,
        i - i % 2 - CASE WHEN h >> 15 & 7 = 0 THEN 2 * (h >> 20 & 255) ELSE 0 END AS content,
        CASE WHEN i % 2 = 1 AND h >> 40 & 15 > 1 THEN 1 + floor(50 * power((h & 1023) / 1024.0, 2))::bigint % 15 END AS signer_id,
        CASE WHEN i % 2 = 1 THEN CASE h >> 40 & 15 WHEN 0 THEN 'unsigned' WHEN 1 THEN 'unknown signer' ELSE 'verified' END END AS signature_result,
        ARRAY['not authorized', 'malformed entry', 'digest mismatch', 'key is full'] AS reasons, h
    FROM generate_series({first}::bigint, {last}) AS i
    CROSS JOIN LATERAL (SELECT hashint8extended(i, 0) & 9223372036854775807 AS h OFFSET 0) AS hash"""

RECORD = """
    INSERT INTO shacache.upload (
        at, account_id, certificate, client_address, target, key, sha512, bytes, duplicate, signature_result, signer_id,
        outcome, status, reason, detail, duration, request_id)
    SELECT at, account_id, sha256(int8send(account_id)), '192.0.2.1', target,
        CASE target WHEN 'entry' THEN 'file-urlmd5:' || md5(content::text) END, sha512(int8send(content)), bytes,
        CASE outcome WHEN 'accepted' THEN duplicate END, signature_result, signer_id, outcome,
        CASE outcome WHEN 'accepted' THEN 201 ELSE 403 END,
        CASE outcome WHEN 'refused' THEN reasons[1 + (h >> 50 & 3)] END,
        CASE outcome WHEN 'refused' THEN 'a sentence that says what was wrong with what' END,
        '12 ms', md5(i::text)
    FROM ({upload}) AS upload"""

BLOBS = """
    INSERT INTO shacache.blob (sha512, size, account_id, created_at)
    SELECT sha512(int8send(content)), bytes, account_id, at FROM ({upload}) AS upload
    WHERE target = 'blob' AND outcome = 'accepted' AND NOT duplicate"""

# One in ten is of a binary cache, one in a hundred stands under one of some busy keys.
ENTRIES = """
    INSERT INTO shacache.entry (
        key, metadata, signature, digest, sha512, account_id, signature_result, signer_id, created_at, software_url,
        multiarch, os)
    SELECT CASE WHEN h >> 30 & 127 = 0 THEN 'busy:' || (h >> 40 & 255) ELSE 'file-urlmd5:' || md5(content::text) END,
        '{{"sha512": "made up"}}', repeat('A', 100), sha256(int8send(i)), sha512(int8send(content)), account_id,
        signature_result, signer_id, at, binary_.url, CASE WHEN binary_.url IS NOT NULL THEN 'x86_64-linux-gnu' END,
        CASE WHEN binary_.url IS NOT NULL THEN ARRAY['debian', (10 + (h >> 36 & 3))::text, ''] END
    FROM ({upload}) AS upload
    CROSS JOIN LATERAL (SELECT CASE WHEN h % 10 = 0 THEN 'https://example.org/' || (h >> 40 & 4095) END AS url) AS binary_
    WHERE target = 'entry' AND outcome = 'accepted' AND NOT duplicate"""

# What the trigger does, which these sessions leave out.
NOTED = [
    "INSERT INTO shacache.key_count SELECT key, count(*), max(created_at) FROM shacache.entry GROUP BY key",
    """INSERT INTO shacache.entry_before_blob SELECT created_at, id FROM shacache.entry
       WHERE NOT EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = entry.sha512)""",
]

# On two days in the mean is each blob downloaded, one in eight never; the rows lie by day, as they came.
BLOB_DOWNLOADS = """
    INSERT INTO shacache.blob_download (day, sha512, whole, partial, probes, bytes)
    SELECT day, sha512(int8send(content)), 1 + (h >> 20 & 3), h >> 22 & 1, h >> 23 & 1, 20 * (1 + (h >> 24 & 65535))
    FROM ({upload}) AS upload
    CROSS JOIN LATERAL generate_series(1, CASE h & 7 WHEN 0 THEN 0 WHEN 1 THEN 9 ELSE 1 + (h >> 3 & 1) END) AS time
    CROSS JOIN LATERAL (SELECT at::date + time::integer * (1 + (h >> 4 & 15)::integer) AS day) AS days
    WHERE target = 'blob' AND NOT duplicate AND day <= now()::date
    ORDER BY day"""

# Of every second key; and on each day a thousand that nobody ever listed.
KEY_LOOKUPS = """
    INSERT INTO shacache.key_lookup (day, key, found, not_found, bytes)
    SELECT day, key, found, 1 - found, 500 * found
    FROM (
        SELECT least(at + (h & 31) * interval '1 day', now())::date AS day, 'file-urlmd5:' || md5(content::text) AS key,
            1 AS found
        FROM ({upload}) AS upload WHERE i % 4 = 0 AND NOT duplicate
        UNION ALL
        SELECT now()::date - day, 'missing:' || day || '-' || number, 0
        FROM generate_series(0, 730) AS day CROSS JOIN generate_series(1, 1000) AS number
    ) AS looked_up
    ORDER BY day"""

DOWNLOAD_DAYS = """
    INSERT INTO shacache.download_day (day, kind, whole, partial, probes, not_found, bytes)
    SELECT day, 'blob', sum(whole), sum(partial), sum(probes), 0, sum(bytes) FROM shacache.blob_download GROUP BY day
    UNION ALL SELECT day, 'key', sum(found), 0, 0, sum(not_found), sum(bytes) FROM shacache.key_lookup GROUP BY day"""

# Every night for two years, the last of which misses the files of a hundred blobs.
SURVEYS = """
    INSERT INTO shacache.survey (started_at, at, host, filesystem_bytes, free_bytes, filesystem_inodes, free_inodes)
    SELECT now() - (night + 0.01) * interval '1 day', now() - night * interval '1 day', 'cache-' || host, 1e13, 1e12, 1e9, 1e8
    FROM generate_series(729, 0, -1) AS night CROSS JOIN generate_series(1, 2) AS host;
    INSERT INTO shacache.survey_sum (survey_id, kind, files, bytes, allocated)
    SELECT survey.id, kind, 1000 * survey.id, 1000000 * survey.id, 1000000 * survey.id
    FROM shacache.survey CROSS JOIN shacache.survey_kind;
    INSERT INTO shacache.survey_finding (survey_id, kind, name, bytes, detail)
    SELECT survey.id, 'dangling', encode(lost.sha512, 'hex'), 1, ''
    FROM (SELECT sha512 FROM shacache.entry ORDER BY id DESC LIMIT 100) AS lost
    CROSS JOIN (SELECT id FROM shacache.survey ORDER BY id DESC LIMIT 2) AS survey"""

# A thousand blobs and what stands under a thousand keys, on as many days as there are.
WITHDRAWALS = """
    INSERT INTO shacache.withdrawal (at, actor, target, subject, reason)
    SELECT now() - number * interval '8 hours', 'root', CASE number % 2 WHEN 0 THEN 'blob' ELSE 'entries' END, number,
        'a sentence that says why'
    FROM generate_series(2000, 1, -1) AS number;
    UPDATE shacache.blob SET withdrawal_id = withdrawal.id
    FROM shacache.withdrawal WHERE target = 'blob' AND sha512 = sha512(int8send(subject::bigint * 2000));
    UPDATE shacache.entry SET withdrawal_id = withdrawal.id
    FROM shacache.withdrawal WHERE target = 'entries' AND key = 'file-urlmd5:' || md5((subject::bigint * 2000)::text)"""

CERTIFICATES = """
    INSERT INTO shacache.certificate (
        fingerprint, account_id, subject, issuer, serial, not_before, not_after, origin)
    SELECT sha256(int8send(account.id * 100 + number)), account.id, 'CN=' || name, 'CN=made up', number,
        now() - interval '2 years', now() + (number * 17 - 60) * interval '1 day', 'issued'
    FROM shacache.account CROSS JOIN generate_series(1, 20) AS number"""


def few():
    return """
        INSERT INTO shacache.account (name) SELECT 'account-' || i FROM generate_series(1, 50) AS i;
        INSERT INTO shacache.signer (name, public_key, certificate)
        SELECT 'signer-' || i, int8send(i), '' FROM generate_series(1, 15) AS i"""


def months():
    """The partitions of what is to come; else every row would be written twice."""
    return """
        SELECT shacache.make_upload_month(month::date)
        FROM generate_series(date_trunc('month', now() AT TIME ZONE 'UTC') - interval '24 months',
            date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month', interval '1 month') AS month"""


def many(uploads):
    """Lists of statements; the lists don't need each other."""
    def statement(insert, part=0, parts=1):
        first, last = 1 + uploads * part // parts, uploads * (part + 1) // parts
        return insert.format(upload=UPLOAD.format(uploads=uploads, first=first, last=last))

    usage = "INSERT INTO shacache.account_usage SELECT account_id, 0, count(*), sum(size) FROM shacache.blob GROUP BY 1"
    return [
        [statement(BLOBS), usage, statement(ENTRIES), *NOTED, SURVEYS, WITHDRAWALS, CERTIFICATES],
        [statement(BLOB_DOWNLOADS), statement(KEY_LOOKUPS), DOWNLOAD_DAYS],
        *([statement(RECORD, part, 3)] for part in range(3)),
    ]
