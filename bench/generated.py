"""SQL that makes up a record of uploads. The same number always gives the same upload, so that what was stored can be
made beside it, in another session."""

# Upload i of {uploads}. An entry (odd) names the blob before it; a duplicate is of one from before.
UPLOAD = """
    SELECT i, now() - interval '24 months' + (i::float8 / {uploads}) * (now() - (now() - interval '24 months')) AS at,
        1 + floor(50 * power((h & 1023) / 1024.0, 2))::bigint AS account_id,
        CASE WHEN i % 2 = 0 THEN 'blob' ELSE 'entry' END AS target,
        CASE WHEN h >> 10 & 31 = 0 THEN 'refused' ELSE 'accepted' END AS outcome,
        h >> 15 & 7 = 0 AS duplicate,
        CASE WHEN i % 2 = 0 THEN 20 * (1 + h >> 20 & 65535) ELSE 400 + (h >> 20 & 255) END AS bytes,
        i - i % 2 - CASE WHEN h >> 15 & 7 = 0 THEN 2 * (h >> 20 & 255) ELSE 0 END AS content,
        CASE WHEN i % 2 = 1 AND h >> 40 & 15 <> 0 THEN 1 + floor(50 * power((h & 1023) / 1024.0, 2))::bigint % 15 END AS signer_id,
        CASE WHEN i % 2 = 1 THEN CASE h >> 40 & 15 WHEN 0 THEN 'unsigned' ELSE 'verified' END END AS signature_result,
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

# One in ten is of a binary cache, one in a hundred stands under one of a thousand busy keys.
ENTRIES = """
    INSERT INTO shacache.entry (
        key, metadata, signature, digest, sha512, account_id, signature_result, signer_id, created_at, software_url,
        multiarch, os)
    SELECT CASE WHEN h >> 30 & 127 = 0 THEN 'busy:' || (h >> 40 & 1023) ELSE 'file-urlmd5:' || md5(content::text) END,
        '{{"sha512": "made up"}}', repeat('A', 100), sha256(int8send(i)), sha512(int8send(content)), account_id,
        signature_result, signer_id, at, binary_.url, CASE WHEN binary_.url IS NOT NULL THEN 'x86_64-linux-gnu' END,
        CASE WHEN binary_.url IS NOT NULL THEN ARRAY['debian', (10 + (h >> 36 & 3))::text, ''] END
    FROM ({upload}) AS upload
    CROSS JOIN LATERAL (SELECT CASE WHEN h % 10 = 0 THEN 'https://example.org/' || (h >> 40 & 4095) END AS url) AS binary_
    WHERE target = 'entry' AND outcome = 'accepted' AND NOT duplicate"""


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
    return [[statement(BLOBS), usage], [statement(ENTRIES)], *([statement(RECORD, part, 3)] for part in range(3))]
