"""A small record of uploads whose figures can be added up by hand, and how views are asked."""

import json

# cleo is disabled, dora never uploads; sig-b is revoked and never signs. The database numbers them from 1.
ACCOUNTS = """
    INSERT INTO shacache.account (name, disabled_at)
    VALUES ('ann', NULL), ('ben', NULL), ('cleo', '2026-01-02 12:00+00'), ('dora', NULL)
"""
SIGNERS = """
    INSERT INTO shacache.signer (name, public_key, certificate, revoked_at)
    VALUES ('sig-a', 'a', '', NULL), ('sig-b', 'b', '', '2026-01-02 12:00+00')
"""

# b1 and b4 are ann's; the bytes of b3 are none.
BLOBS = """
    INSERT INTO shacache.blob (sha512, size, account_id)
    SELECT sha512(blob::bytea), size, account.id
    FROM (
        VALUES ('b1', 1000, 'ann'), ('b2', 300, 'ben'), ('b3', 0, 'cleo'), ('b4', 70, 'ann')
    ) AS new (blob, size, account)
    JOIN shacache.account ON account.name = new.account
"""

# As workers count it, in several rows.
USAGE = """
    INSERT INTO shacache.account_usage (account_id, shard, blobs, bytes)
    SELECT account_id, row_number() OVER (PARTITION BY account_id), 1, size FROM shacache.blob
"""

# What `record_entries` does, of entries that tests insert themselves.
NOTED = """
    INSERT INTO shacache.key_count SELECT key, count(*), max(created_at) FROM shacache.entry GROUP BY key
    ON CONFLICT (key) DO UPDATE SET entries = excluded.entries, last_at = excluded.last_at;
    INSERT INTO shacache.entry_before_blob SELECT created_at, id FROM shacache.entry
    WHERE NOT EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = entry.sha512) ON CONFLICT DO NOTHING
"""

# Of k1, ben's entry came twice. `lost` and `never` are blobs that nobody uploaded.
ENTRIES = """
    INSERT INTO shacache.entry (
        created_at, account_id, key, sha512, signature_result, signer_id, software_url, multiarch, os,
        metadata, signature, digest)
    SELECT
        ('2026-' || at || '+00')::timestamptz, account.id, key, sha512(blob::bytea), result, signer.id, url, multiarch,
        os::text[], 'ééééé', 'AAAA', sha256(at::bytea)
    FROM (
        VALUES
            ('01-01 10:01', 'ann', 'k1', 'b1', 'verified', 'sig-a', NULL, NULL, NULL),
            ('01-01 10:03', 'ben', 'k1', 'b1', 'unsigned', NULL, NULL, NULL, NULL),
            ('01-02 09:02', 'ann', 'k2', 'lost', 'unknown signer', NULL, NULL, NULL, NULL),
            ('01-02 10:00', 'ann', 'soft-b', 'b2', 'verified', 'sig-a', 'https://b', 'x86', '{debian,12,bookworm}'),
            ('01-02 10:01', 'ann', 'soft-a', 'b2', 'verified', 'sig-a', 'https://a', 'x86', '{debian,12,bookworm}'),
            ('01-02 10:02', 'ben', 'soft-b', 'b1', 'unsigned', NULL, 'https://b', 'arm', '{debian,12,bookworm}'),
            ('01-02 10:03', 'ann', 'soft-a', 'never', 'unsigned', NULL, 'https://a', 'x86', '{debian,12,bookworm}'),
            ('01-02 10:04', 'cleo', 'soft-c', 'b4', 'unsigned', NULL, 'https://c', NULL, NULL)
    ) AS new (at, account, key, blob, result, signer, url, multiarch, os)
    JOIN shacache.account ON account.name = new.account
    LEFT JOIN shacache.signer ON signer.name = new.signer
    ORDER BY at
"""

ACCEPTED = """
    INSERT INTO shacache.upload (
        at, account_id, certificate, client_address, target, key, sha512, bytes, duplicate, signature_result, signer_id,
        outcome, status, duration, request_id)
    SELECT
        ('2026-' || at || '+00')::timestamptz, account.id, sha256(account.name::bytea), '192.0.2.1', target, key,
        sha512(blob::bytea), bytes, duplicate, result, signer.id, 'accepted', 201, '12 ms', 'request ' || at
    FROM (
        VALUES
            ('01-01 10:00', 'ann', 'blob', NULL, 'b1', 1000, false, NULL, NULL),
            ('01-01 10:01', 'ann', 'entry', 'k1', 'b1', 200, false, 'verified', 'sig-a'),
            ('01-01 10:02', 'ben', 'blob', NULL, 'b1', 1000, true, NULL, NULL),
            ('01-01 10:03', 'ben', 'entry', 'k1', 'b1', 210, false, 'unsigned', NULL),
            ('01-01 23:30', 'ben', 'blob', NULL, 'b2', 300, false, NULL, NULL),
            ('01-02 09:00', 'cleo', 'blob', NULL, 'b3', 0, false, NULL, NULL),
            ('01-02 09:01', 'ben', 'entry', 'k1', 'b1', 210, true, 'unsigned', NULL),
            ('01-02 09:02', 'ann', 'entry', 'k2', 'lost', 220, false, 'unknown signer', NULL),
            ('01-02 09:03', 'ann', 'blob', NULL, 'b4', 70, false, NULL, NULL),
            ('01-02 09:04', 'ann', 'blob', NULL, 'b1', 1000, true, NULL, NULL),
            ('01-02 10:00', 'ann', 'entry', 'soft-b', 'b2', 240, false, 'verified', 'sig-a'),
            ('01-02 10:01', 'ann', 'entry', 'soft-a', 'b2', 250, false, 'verified', 'sig-a'),
            ('01-02 10:02', 'ben', 'entry', 'soft-b', 'b1', 260, false, 'unsigned', NULL),
            ('01-02 10:03', 'ann', 'entry', 'soft-a', 'never', 270, false, 'unsigned', NULL),
            ('01-02 10:04', 'cleo', 'entry', 'soft-c', 'b4', 280, false, 'unsigned', NULL)
    ) AS new (at, account, target, key, blob, bytes, duplicate, result, signer)
    JOIN shacache.account ON account.name = new.account
    LEFT JOIN shacache.signer ON signer.name = new.signer
    ORDER BY at
"""

NOT_ACCEPTED = """
    INSERT INTO shacache.upload (
        at, account_id, target, key, bytes, signature_result, outcome, status, reason, detail, duration, request_id)
    SELECT
        ('2026-' || at || '+00')::timestamptz, account.id, target, key, bytes, result,
        outcome, status, reason, detail, '12 ms', 'request ' || at
    FROM (
        VALUES
            ('01-03 09:00', 'cleo', 'blob', NULL, 50, NULL, 'refused', 403, 'not authorized', 'cleo is disabled'),
            ('01-03 09:01', NULL, 'blob', NULL, NULL, NULL, 'refused', 403, 'not authorized', 'no certificate'),
            ('01-03 09:02', 'ann', 'entry', 'k3', 90, NULL, 'refused', 400, 'malformed entry', 'not base64'),
            ('01-03 09:03', 'ann', 'entry', 'k3', 230, 'unknown signer', 'refused', 403, 'unknown signer', 'none'),
            ('01-03 09:04', 'ben', 'blob', NULL, 5000, NULL, 'failed', 507, 'no space', 'no room'),
            ('01-03 09:05', 'ben', 'entry', 'k3', 60, NULL, 'failed', 503, 'database unavailable', 'it is away')
    ) AS new (at, account, target, key, bytes, result, outcome, status, reason, detail)
    LEFT JOIN shacache.account ON account.name = new.account
    ORDER BY at
"""

# Another day than UTC's, from 15:00 UTC on: the report must not depend on who asks from where.
TOKYO = """
    DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET TimeZone = %L', current_database(), 'Asia/Tokyo'); END $$
"""


def ask(database, query, role="shacache_report"):
    """The rows in the order in which they come, as Python values; each column needs a name of its own."""
    rows = database.run(f"SELECT row_to_json(answer) FROM ({query}) AS answer", role=role)
    return [tuple(json.loads(text).values()) for (text,) in rows]


def asked(database, query, **settings):
    """The same of a session that asks for something: `asked(database, query, since="2026-01-02")`."""
    rows = database.run(
        "".join(f"SET report.{name} = '{value}'; " for name, value in settings.items())
        + f"SELECT row_to_json(answer) FROM ({query}) AS answer", role="shacache_report")
    return [tuple(json.loads(text).values()) for (text,) in rows]


def changed(database, change, query):
    """The same after a change that is taken back."""
    rows = database.run(f"BEGIN; {change}; SELECT row_to_json(answer) FROM ({query}) AS answer; ROLLBACK")
    return [tuple(json.loads(text).values()) for (text,) in rows]


def fill(database):
    for statement in (TOKYO, ACCOUNTS, SIGNERS, BLOBS, USAGE, ENTRIES, NOTED, ACCEPTED, NOT_ACCEPTED):
        database.run(statement)
