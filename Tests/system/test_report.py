"""The views of the schema report, and who may do what in the database.

The figures below are added up by hand from the rows in BLOBS, ENTRIES, ACCEPTED and NOT_ACCEPTED.
"""

import hashlib
import json

import pytest
from stack import DatabaseError

VIEWS = [
    "binary_cache_by_platform",
    "entries_without_blob",
    "keys_with_most_entries",
    "largest_blobs",
    "refusals_by_reason",
    "space_by_account",
    "upload",
    "uploads_by_account",
    "uploads_by_day",
    "uploads_by_signer",
]

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


def refusal(database, statement, role):
    with pytest.raises(DatabaseError) as caught:
        database.run(statement, role=role)
    return caught.value.message


@pytest.fixture(scope="module")
def empty(database):
    """What each view shows before anything is there."""
    return {view: ask(database, f"SELECT * FROM report.{view}") for view in VIEWS}


@pytest.fixture(scope="module")
def record(database, empty):
    for statement in (TOKYO, ACCOUNTS, SIGNERS, BLOBS, ENTRIES, ACCEPTED, NOT_ACCEPTED):
        database.run(statement)
    return database


@pytest.mark.parametrize("view", VIEWS)
def test_of_nothing_a_view_shows_nothing(empty, view):
    assert empty[view] == []


def test_every_view_is_known_here_and_says_which_question_it_answers(database):
    views = ask(
        database,
        """SELECT relname, obj_description(oid, 'pg_class') FROM pg_class
           WHERE relnamespace = 'report'::regnamespace ORDER BY relname COLLATE "C" """,
    )
    assert [name for name, _ in views] == VIEWS
    assert [name for name, comment in views if not (comment or "").endswith("?")] == []


def test_the_uploads_are_shown_newest_first(record):
    times = [at for (at,) in ask(record, "SELECT at FROM report.upload")]
    assert len(times) == 21
    assert times == sorted(times, reverse=True)


def test_an_upload_is_shown_with_names_and_hexadecimal_digests(record):
    (row,) = ask(
        record,
        """SELECT account, host(client_address), target, key, sha512, bytes, duplicate, signature, signer, outcome,
               status, reason, detail, extract(milliseconds FROM duration), certificate
           FROM report.upload WHERE request_id = 'request 01-01 10:01'""",
    )
    assert row == (
        *("ann", "192.0.2.1", "entry", "k1", hashlib.sha512(b"b1").hexdigest(), 200, False, "verified", "sig-a"),
        *("accepted", 201, None, None, 12, hashlib.sha256(b"ann").hexdigest()),
    )


# Fails when the joins in report.upload are not LEFT.
def test_an_upload_of_nobody_is_shown_too(record):
    assert ask(
        record,
        """SELECT account, signer, sha512, certificate, outcome, status, reason, detail
           FROM report.upload WHERE request_id = 'request 01-03 09:01'""",
    ) == [(None, None, None, None, "refused", 403, "not authorized", "no certificate")]


# Fails when the day is taken without AT TIME ZONE 'UTC': 23:30 is tomorrow in Tokyo.
def test_uploads_by_day(record):
    assert ask(record, "SELECT * FROM report.uploads_by_day") == [
        # day, uploads, accepted, refused, failed, blobs, entries, duplicates, bytes, new_bytes
        ("2026-01-03", 6, 0, 4, 2, 0, 0, 0, 0, 0),
        ("2026-01-02", 10, 10, 0, 0, 3, 7, 2, 2800, 1590),
        ("2026-01-01", 5, 5, 0, 0, 3, 2, 1, 2710, 1710),
    ]


def test_uploads_by_account(record):
    assert ask(
        record,
        """SELECT account, disabled_at IS NOT NULL, uploads, accepted, refused, failed, blobs, entries, duplicates,
               bytes, new_bytes, to_char(last_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI')
           FROM report.uploads_by_account""",
    ) == [
        # account, disabled, uploads, accepted, refused, failed, blobs, entries, duplicates, bytes, new_bytes, last_at
        ("ann", False, 10, 8, 2, 0, 3, 5, 1, 3250, 2250, "01-03 09:03"),
        ("ben", False, 7, 5, 0, 2, 2, 3, 2, 1980, 770, "01-03 09:05"),
        ("cleo", True, 3, 2, 1, 0, 1, 1, 0, 280, 280, "01-03 09:00"),
        (None, False, 1, 0, 1, 0, 0, 0, 0, 0, 0, "01-03 09:01"),
        ("dora", False, 0, 0, 0, 0, 0, 0, 0, 0, 0, None),
    ]


# named_bytes is 1600 for sig-a when DISTINCT is taken out: two of its entries name b2.
def test_uploads_by_signer(record):
    assert ask(
        record,
        """SELECT signature, signer, revoked_at IS NOT NULL, uploads, accepted, refused, failed, duplicates, bytes,
               named_bytes, to_char(last_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI')
           FROM report.uploads_by_signer""",
    ) == [
        # signature, signer, revoked, uploads, accepted, refused, failed, duplicates, bytes, named_bytes, last_at
        ("unsigned", None, False, 5, 5, 0, 0, 1, 1230, 1070, "01-02 10:04"),
        ("verified", "sig-a", False, 3, 3, 0, 0, 0, 690, 1300, "01-02 10:01"),
        ("not checked", None, False, 2, 0, 1, 1, 0, 0, 0, "01-03 09:05"),
        ("unknown signer", None, False, 2, 1, 1, 0, 0, 220, 0, "01-03 09:03"),
        ("verified", "sig-b", True, 0, 0, 0, 0, 0, 0, 0, None),
    ]


def test_refusals_by_reason(record):
    assert ask(
        record,
        """SELECT outcome, reason, uploads, to_char(last_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), example_status,
               example_account, example_detail
           FROM report.refusals_by_reason""",
    ) == [
        # outcome, reason, uploads, last_at, and of the latest: status, account, detail
        ("refused", "not authorized", 2, "01-03 09:01", 403, None, "no certificate"),
        ("failed", "database unavailable", 1, "01-03 09:05", 503, "ben", "it is away"),
        ("failed", "no space", 1, "01-03 09:04", 507, "ben", "no room"),
        ("refused", "malformed entry", 1, "01-03 09:02", 400, "ann", "not base64"),
        ("refused", "unknown signer", 1, "01-03 09:03", 403, "ann", "none"),
    ]


# ann has two blobs and three uploads of blobs: joined before they are added up, they count six times.
def test_space_by_account(record):
    assert ask(
        record,
        """SELECT account, disabled_at IS NOT NULL, stored_blobs, stored_bytes, uploaded_blobs, uploaded_bytes,
               deduplicated_percent
           FROM report.space_by_account""",
    ) == [
        # account, disabled, stored_blobs, stored_bytes, uploaded_blobs, uploaded_bytes, deduplicated_percent
        ("ann", False, 2, 1070, 3, 2070, 48.3),
        ("ben", False, 1, 300, 2, 1300, 76.9),
        ("cleo", True, 1, 0, 1, 0, None),
        ("dora", False, 0, 0, 0, 0, None),
    ]


# soft-a comes before soft-b in the alphabet, but not in time.
def test_largest_blobs(record):
    assert ask(record, "SELECT bytes, account, entries, first_key, sha512 FROM report.largest_blobs") == [
        (1000, "ann", 3, "k1", hashlib.sha512(b"b1").hexdigest()),
        (300, "ben", 2, "soft-b", hashlib.sha512(b"b2").hexdigest()),
        (70, "ann", 1, "soft-c", hashlib.sha512(b"b4").hexdigest()),
        (0, "cleo", 0, None, hashlib.sha512(b"b3").hexdigest()),
    ]


def test_entries_without_blob_are_shown_oldest_first(record):
    assert ask(
        record,
        """SELECT key, account, signature, signer, sha512, abs(extract(epoch FROM now() - created_at - age)) < 2
           FROM report.entries_without_blob""",
    ) == [
        ("k2", "ann", "unknown signer", None, hashlib.sha512(b"lost").hexdigest(), True),
        ("soft-a", "ann", "unsigned", None, hashlib.sha512(b"never").hexdigest(), True),
    ]


# Two entries of the first platform name b2, of 300 bytes. Download-cache entries are in none of the rows.
def test_binary_cache_by_platform(record):
    assert ask(
        record,
        """SELECT multiarch, os, entries, software_releases, entries_without_blob, bytes,
               to_char(last_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI')
           FROM report.binary_cache_by_platform""",
    ) == [
        # multiarch, os, entries, software_releases, entries_without_blob, bytes, last_at
        ("x86", ["debian", "12", "bookworm"], 3, 2, 1, 300, "01-02 10:03"),
        ("arm", ["debian", "12", "bookworm"], 1, 1, 0, 1000, "01-02 10:02"),
        (None, None, 1, 1, 0, 70, "01-02 10:04"),
    ]


def test_keys_with_most_entries(record):
    assert ask(
        record,
        """SELECT key, entries, accounts, blobs, bytes, to_char(first_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') AS first_at,
               to_char(last_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') AS last_at
           FROM report.keys_with_most_entries""",
    ) == [
        # key, entries, accounts, blobs, bytes, first_at, last_at
        ("k1", 2, 2, 1, 28, "01-01 10:01", "01-01 10:03"),
        ("soft-a", 2, 1, 2, 28, "01-02 10:01", "01-02 10:03"),
        ("soft-b", 2, 2, 2, 28, "01-02 10:00", "01-02 10:02"),
        ("k2", 1, 1, 1, 14, "01-02 09:02", "01-02 09:02"),
        ("soft-c", 1, 1, 1, 14, "01-02 10:04", "01-02 10:04"),
    ]


RIGHTS_ON_TABLES = """
    SELECT rolname, nspname || '.' || relname, privilege
    FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace AND nspname IN ('shacache', 'report')
    CROSS JOIN pg_roles
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
    WHERE relkind IN ('r', 'v', 'p', 'm') AND has_table_privilege(rolname, pg_class.oid, privilege)
        AND rolname IN ('shacache_worker', 'shacache_admin', 'shacache_report')
"""


# Fails when a view is not granted to shacache_report, or anything to PUBLIC or to a role that needs it not.
def test_the_views_are_read_by_shacache_report_alone_and_it_may_do_nothing_else(database):
    rights = ask(database, RIGHTS_ON_TABLES, role="shacache_owner")
    about_report = [(r, t, p) for r, t, p in rights if r == "shacache_report" or t.startswith("report.")]
    assert sorted(about_report) == [("shacache_report", f"report.{view}", "SELECT") for view in VIEWS]


def test_shacache_report_may_use_the_schema_report_alone_and_create_nothing(database):
    assert ask(
        database,
        """SELECT nspname, privilege
           FROM pg_namespace CROSS JOIN unnest(ARRAY['USAGE', 'CREATE']) AS privilege
           WHERE nspname IN ('report', 'shacache', 'public')
               AND has_schema_privilege('shacache_report', oid, privilege)""",
        role="shacache_owner",
    ) == [("report", "USAGE")]


@pytest.mark.parametrize("role", ["shacache_worker", "shacache_admin"])
def test_other_roles_may_not_read_the_views(database, role):
    assert "permission denied for schema report" in refusal(database, "SELECT * FROM report.upload", role)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM shacache.upload",
        "SELECT name FROM shacache.account",
        "INSERT INTO shacache.account (name) VALUES ('mine')",
        "UPDATE shacache.account SET disabled_at = NULL",
        "DELETE FROM shacache.upload",
    ],
)
def test_shacache_report_is_kept_out_of_the_tables(database, statement):
    assert "permission denied for schema shacache" in refusal(database, statement, "shacache_report")


# The sums of shacache.account_usage, which `account recount` proves and repairs: they are no record of anything.
COUNTERS = [f"account_usage.{column}" for column in ("blobs", "bytes")]


# Fails when a migration grants more of an UPDATE: to the worker on entry.metadata, to the admin on account.name.
@pytest.mark.parametrize(
    "role, columns",
    [
        # What an upload adds up, and what hides: nothing that says what was uploaded, by whom, or when.
        (
            "shacache_worker",
            [
                *COUNTERS,
                "blob.is_shared", "blob.last_referenced_at", "blob.withdrawal_id",
                "entry.is_shared", "entry.withdrawal_id",
            ],
        ),
        (
            "shacache_admin",
            [
                *(f"account.{column}" for column in (
                    "blob_size_limit", "blobs_limit", "bytes_limit", "disabled_at", "entries_per_day_limit",
                    "entries_per_key_limit", "key_prefixes", "roles")),
                *COUNTERS, "blob.withdrawal_id",
                "certificate.revoked_at", "entry.withdrawal_id",
                "signer.revoked_at", "signer.revoked_since", "withdrawal.lifted_at", "withdrawal.lifted_by",
            ],
        ),
        ("shacache_report", []),
    ],
)
def test_a_role_may_update_a_few_columns_alone(database, role, columns):
    granted = ask(
        database,
        f"""SELECT relname || '.' || attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
            WHERE relnamespace = 'shacache'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
                AND has_column_privilege('{role}', pg_class.oid, attnum, 'UPDATE')
            ORDER BY relname COLLATE "C", attname COLLATE "C"
        """,
        role="shacache_owner",
    )
    assert [column for (column,) in granted] == columns


# Fails when any of them is granted DELETE or TRUNCATE, on a table of today or of tomorrow.
def test_only_the_owner_may_delete(database):
    rights = ask(database, RIGHTS_ON_TABLES, role="shacache_owner")
    assert ("shacache_worker", "shacache.entry", "INSERT") in rights
    assert [right for right in rights if right[2] not in ("SELECT", "INSERT")] == []


def test_shacache_worker_may_note_that_a_blob_was_referenced(record):
    record.run("UPDATE shacache.blob SET last_referenced_at = '2026-02-01 12:00+00'", role="shacache_worker")
    assert ask(record, "SELECT DISTINCT last_referenced_at::date FROM report.largest_blobs") == [("2026-02-01",)]


@pytest.mark.parametrize(
    "statement, answer",
    [
        ("DELETE FROM shacache.blob", "permission denied for table blob"),
        ("DELETE FROM shacache.entry", "permission denied for table entry"),
        ("DELETE FROM shacache.upload", "permission denied for table upload"),
        ("TRUNCATE shacache.upload", "permission denied for table upload"),
        ("UPDATE shacache.entry SET metadata = '{}'", "permission denied for table entry"),
        ("UPDATE shacache.blob SET size = 1", "permission denied for table blob"),
        ("UPDATE shacache.upload SET outcome = 'accepted'", "permission denied for table upload"),
        ("UPDATE shacache.account SET disabled_at = NULL", "permission denied for table account"),
        ("UPDATE shacache.account SET roles = '{operator}'", "permission denied for table account"),
        ("UPDATE shacache.withdrawal SET lifted_at = now()", "permission denied for table withdrawal"),
        ("SELECT * FROM shacache.audit", "permission denied for table audit"),
        ("DELETE FROM shacache.account_usage", "permission denied for table account_usage"),
        ("INSERT INTO shacache.account (name) VALUES ('mine')", "permission denied for table account"),
        ("ALTER TABLE shacache.entry ALTER COLUMN metadata DROP NOT NULL", "must be owner of table entry"),
        ("DROP TABLE shacache.entry CASCADE", "must be owner of table entry"),
        ("CREATE TABLE shacache.mine ()", "permission denied for schema shacache"),
    ],
)
def test_shacache_worker_may_neither_alter_nor_delete(database, statement, answer):
    assert answer in refusal(database, statement, "shacache_worker")


def test_shacache_admin_may_disable_an_account_and_write_that_down(record):
    record.run("UPDATE shacache.account SET disabled_at = disabled_at WHERE name = 'cleo'", role="shacache_admin")
    record.run(
        "INSERT INTO shacache.audit (actor, action, subject) VALUES ('root', 'account disable', 'cleo')",
        role="shacache_admin",
    )
    assert ask(record, "SELECT subject FROM shacache.audit", role="shacache_admin") == [("cleo",)]


@pytest.mark.parametrize(
    "statement, answer",
    [
        ("DELETE FROM shacache.account", "permission denied for table account"),
        ("DELETE FROM shacache.certificate", "permission denied for table certificate"),
        ("DELETE FROM shacache.signer", "permission denied for table signer"),
        ("DELETE FROM shacache.entry", "permission denied for table entry"),
        ("DELETE FROM shacache.upload", "permission denied for table upload"),
        ("DELETE FROM shacache.audit", "permission denied for table audit"),
        ("DELETE FROM shacache.account_usage", "permission denied for table account_usage"),
        ("UPDATE shacache.withdrawal SET reason = 'none'", "permission denied for table withdrawal"),
        ("UPDATE shacache.audit SET actor = 'nobody'", "permission denied for table audit"),
        ("UPDATE shacache.account SET name = 'other'", "permission denied for table account"),
        ("UPDATE shacache.signer SET public_key = 'c'", "permission denied for table signer"),
        ("DROP TABLE shacache.audit", "must be owner of table audit"),
    ],
)
def test_shacache_admin_may_neither_delete_nor_rewrite(database, statement, answer):
    assert answer in refusal(database, statement, "shacache_admin")
