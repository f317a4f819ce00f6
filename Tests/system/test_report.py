"""The views of the schema report, and who may do what in the database.

The figures below are added up by hand from the rows in reports.py.
"""

import hashlib

import pytest
from reports import NOTED, ask, asked, changed, fill
from stack import DatabaseError
from transactions import under_way

VIEWS = [
    "accounts",
    "damaged_blobs",
    "downloaded_blobs",
    "downloaded_keys",
    "downloads",
    "duplicates",
    "entries_to_look_into",
    "entries_without_blob",
    "expiring_certificates",
    "growth",
    "keys",
    "largest_blobs",
    "never_downloaded",
    "platforms",
    "refusals",
    "signers",
    "survey_findings",
    "surveys",
    "upload",
    "uploads",
    "usage",
    "withdrawals",
]


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
    fill(database)
    return database


@pytest.mark.parametrize("view", VIEWS)
def test_of_nothing_a_view_shows_nothing(empty, view):
    assert empty[view] == []


def test_every_view_says_which_question_it_answers(database):
    views = ask(
        database,
        """SELECT relname, obj_description(oid, 'pg_class') FROM pg_class
           WHERE relnamespace = 'report'::regnamespace ORDER BY relname COLLATE "C" """,
    )
    assert set(VIEWS) <= {name for name, _ in views}
    assert [name for name, comment in views if "?" not in (comment or "")] == []


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
def test_uploads(record):
    assert ask(record, "SELECT * FROM report.uploads") == [
        # day, uploads, accepted, refused, failed, blobs, entries, duplicates, bytes, new_bytes
        ("2026-01-03", 6, 0, 4, 2, 0, 0, 0, 0, 0),
        ("2026-01-02", 10, 10, 0, 0, 3, 7, 2, 2800, 1590),
        ("2026-01-01", 5, 5, 0, 0, 3, 2, 1, 2710, 1710),
    ]


def test_uploads_since_a_day_until_a_day_of_an_account(record):
    assert asked(record, "SELECT * FROM report.uploads", since="2026-01-01", until="2026-01-02", account="ben") == [
        ("2026-01-02", 2, 2, 0, 0, 0, 2, 1, 470, 260),
        ("2026-01-01", 3, 3, 0, 0, 2, 1, 1, 1510, 510),
    ]


# The last upload of the first day is on the second in Tokyo, where the database is.
def test_single_uploads_of_a_day_in_utc(record):
    query = "SELECT request_id FROM report.upload"
    assert asked(record, query, since="2026-01-01", until="2026-01-01", account="ben") == [
        ("request 01-01 23:30",), ("request 01-01 10:03",), ("request 01-01 10:02",)]


@pytest.mark.parametrize("view", VIEWS)
def test_an_account_that_does_not_exist_has_nothing(record, view):
    if view != "signers":
        assert asked(record, f"SELECT * FROM report.{view}", account="nobody") == []


def test_accounts(record):
    assert ask(
        record,
        """SELECT account, disabled_at IS NOT NULL, uploads, accepted, refused, failed, refused_percent, blobs, entries,
               duplicates, bytes, new_bytes, to_char(last_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), stored_blobs,
               stored_bytes
           FROM report.accounts""",
    ) == [
        # account, disabled, uploads, accepted, refused, failed, %, blobs, entries, duplicates, bytes, new_bytes,
        # last_at, stored_blobs, stored_bytes
        ("ann", False, 10, 8, 2, 0, 20.0, 3, 5, 1, 3250, 2250, "01-03 09:03", 2, 1070),
        ("ben", False, 7, 5, 0, 2, 0.0, 2, 3, 2, 1980, 770, "01-03 09:05", 1, 300),
        ("cleo", True, 3, 2, 1, 0, 33.3, 1, 1, 0, 280, 280, "01-03 09:00", 1, 0),
        (None, False, 1, 0, 1, 0, 100.0, 0, 0, 0, 0, 0, "01-03 09:01", 0, 0),
        ("dora", False, 0, 0, 0, 0, None, 0, 0, 0, 0, 0, None, 0, 0),
    ]


def test_accounts_show_what_is_allowed_beside_what_is_used(record):
    assert changed(
        record,
        """UPDATE shacache.account SET bytes_limit = 4280, roles = '{blobs}', key_prefixes = '{pypi:}'
           WHERE name = 'ann'""",
        """SELECT roles, key_prefixes, bytes_limit, bytes_limit_percent, blobs_limit FROM report.accounts
           WHERE account = 'ann'""",
    ) == [(["blobs"], ["pypi:"], 4280, 25.0, None)]


# What is stored is of now, whatever days are asked for.
def test_accounts_on_a_day(record):
    assert asked(
        record,
        "SELECT account, uploads, bytes, stored_bytes FROM report.accounts",
        since="2026-01-03", until="2026-01-03",
    ) == [("ann", 2, 0, 1070), ("ben", 2, 0, 300), ("cleo", 1, 0, 0), (None, 1, 0, 0), ("dora", 0, 0, 0)]


def test_signers(record):
    assert ask(
        record,
        """SELECT signature, signer, revoked_at IS NOT NULL, uploads, accepted, refused, failed, duplicates, accounts,
               bytes, to_char(last_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI')
           FROM report.signers""",
    ) == [
        # signature, signer, revoked, uploads, accepted, refused, failed, duplicates, accounts, bytes, last_at
        ("unsigned", None, False, 5, 5, 0, 0, 1, 3, 1230, "01-02 10:04"),
        ("verified", "sig-a", False, 3, 3, 0, 0, 0, 1, 690, "01-02 10:01"),
        ("not checked", None, False, 2, 0, 1, 1, 0, 2, 0, "01-03 09:05"),
        ("unknown signer", None, False, 2, 1, 1, 0, 0, 1, 220, "01-03 09:03"),
        ("verified", "sig-b", True, 0, 0, 0, 0, 0, 0, 0, None),
    ]


def test_refusals(record):
    assert ask(
        record,
        """SELECT outcome, reason, uploads, accounts, to_char(last_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI'),
               example_status, example_account, example_detail
           FROM report.refusals""",
    ) == [
        # outcome, reason, uploads, accounts, last_at, and of the latest: status, account, detail
        ("refused", "not authorized", 2, 1, "01-03 09:01", 403, None, "no certificate"),
        ("failed", "database unavailable", 1, 1, "01-03 09:05", 503, "ben", "it is away"),
        ("failed", "no space", 1, 1, "01-03 09:04", 507, "ben", "no room"),
        ("refused", "malformed entry", 1, 1, "01-03 09:02", 400, "ann", "not base64"),
        ("refused", "unknown signer", 1, 1, "01-03 09:03", 403, "ann", "none"),
    ]


GROWTH = "SELECT day, blobs, bytes, total_blobs, total_bytes, entries, total_entries FROM report.growth"


def test_growth(record):
    assert ask(record, GROWTH) == [
        ("2026-01-03", 0, 0, 4, 1370, 0, 8),
        ("2026-01-02", 2, 70, 4, 1370, 6, 8),
        ("2026-01-01", 2, 1300, 2, 1300, 2, 2),
    ]


# Fails when the days are chosen before they are added up.
def test_growth_counts_what_was_there_before_the_first_day_that_is_asked_for(record):
    assert asked(record, GROWTH, since="2026-01-02", until="2026-01-02", account="ann") == [
        ("2026-01-02", 1, 70, 2, 1070, 4, 5)]


def test_duplicates(record):
    assert ask(record, "SELECT * FROM report.duplicates") == [
        # day, account, blobs, bytes, duplicate_blobs, saved_bytes, saved_percent
        ("2026-01-02", "ann", 2, 1070, 1, 1000, 93.5),
        ("2026-01-02", "cleo", 1, 0, 0, 0, None),
        ("2026-01-01", "ben", 2, 1300, 1, 1000, 76.9),
        ("2026-01-01", "ann", 1, 1000, 0, 0, 0.0),
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
        """SELECT key, account, signature, signer, withdrawn, sha512, abs(extract(epoch FROM now() - created_at - age)) < 2
           FROM report.entries_without_blob""",
    ) == [
        ("k2", "ann", "unknown signer", None, False, hashlib.sha512(b"lost").hexdigest(), True),
        ("soft-a", "ann", "unsigned", None, False, hashlib.sha512(b"never").hexdigest(), True),
    ]


# Two entries of the first platform name b2, of 300 bytes. Download-cache entries are in none of the rows.
def test_platforms(record):
    assert ask(
        record,
        """SELECT multiarch, os, entries, software_releases, entries_without_blob, bytes,
               to_char(last_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI')
           FROM report.platforms""",
    ) == [
        # multiarch, os, entries, software_releases, entries_without_blob, bytes, last_at
        ("x86", ["debian", "12", "bookworm"], 3, 2, 1, 300, "01-02 10:03"),
        ("arm", ["debian", "12", "bookworm"], 1, 1, 0, 1000, "01-02 10:02"),
        (None, None, 1, 1, 0, 70, "01-02 10:04"),
    ]


def test_keys(record):
    assert ask(
        record,
        """SELECT key, entries, withdrawn, accounts, blobs, bytes,
               to_char(first_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') AS first_at,
               to_char(last_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') AS last_at
           FROM report.keys""",
    ) == [
        # key, entries, withdrawn, accounts, blobs, bytes, first_at, last_at
        ("k1", 2, 0, 2, 1, 28, "01-01 10:01", "01-01 10:03"),
        ("soft-a", 2, 0, 1, 2, 28, "01-02 10:01", "01-02 10:03"),
        ("soft-b", 2, 0, 2, 2, 28, "01-02 10:00", "01-02 10:02"),
        ("k2", 1, 0, 1, 1, 14, "01-02 09:02", "01-02 09:02"),
        ("soft-c", 1, 0, 1, 1, 14, "01-02 10:04", "01-02 10:04"),
    ]


WITHDRAWAL = """
    INSERT INTO shacache.withdrawal (at, actor, account_id, target, reason)
    SELECT '2026-01-04 12:00+00', name, id, 'entries', 'by mistake' FROM shacache.account WHERE name = 'ann';
    UPDATE shacache.entry SET withdrawal_id = (SELECT max(id) FROM shacache.withdrawal) WHERE key IN ('k2', 'soft-b');
    UPDATE shacache.blob SET withdrawal_id = (SELECT max(id) FROM shacache.withdrawal) WHERE size = 70
"""


def test_withdrawals(record):
    assert changed(
        record,
        WITHDRAWAL,
        """SELECT to_char(at AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), actor, account, target, reason, hidden_entries,
               hidden_blobs, hidden_bytes, lifted_at
           FROM report.withdrawals""",
    ) == [("01-04 12:00", "ann", "ann", "entries", "by mistake", 3, 1, 70, None)]


# A withdrawn entry dangles nowhere, is of no platform, and leads to no blob; the key remembers it. One that names a
# withdrawn blob dangles.
@pytest.mark.parametrize(
    "query, rows",
    [
        ("SELECT key, withdrawn FROM report.entries_without_blob", [("soft-a", False), ("soft-c", True)]),
        ("SELECT multiarch, entries FROM report.platforms", [("x86", 2), (None, 1)]),
        ("SELECT bytes, withdrawn, entries, first_key FROM report.largest_blobs",
         [(1000, False, 2, "k1"), (300, False, 1, "soft-a"), (70, True, 1, "soft-c"), (0, False, 0, None)]),
        ("SELECT key, entries, withdrawn FROM report.keys LIMIT 3", [("k1", 2, 0), ("soft-a", 2, 0), ("soft-b", 2, 2)]),
        ("SELECT total_blobs, total_entries FROM report.growth LIMIT 1", [(4, 8)]),
    ],
)
def test_what_is_withdrawn_is_told_apart(record, query, rows):
    assert changed(record, WITHDRAWAL, query) == rows


LOOK = "SELECT reason, key, account, entries FROM report.entries_to_look_into"


# Its entry is older than thirty days: the withdrawal is what happened.
def test_who_names_a_blob_that_was_withdrawn_lately_is_to_be_looked_into(record):
    assert changed(record, f"{WITHDRAWAL}; UPDATE shacache.withdrawal SET at = now()", LOOK) == [
        ("withdrawn blob", "soft-c", "cleo", 1)]
    assert changed(record, WITHDRAWAL, LOOK) == []


# Likewise; only what the newest survey of a host says counts.
def test_who_names_a_blob_whose_file_is_gone_is_to_be_looked_into(record):
    survey = """
        INSERT INTO shacache.survey (
            started_at, at, host, filesystem_bytes, free_bytes, filesystem_inodes, free_inodes)
        VALUES (now(), now() - {days} * interval '1 day', 'here', 0, 0, 0, 0);
        INSERT INTO shacache.survey_finding (survey_id, kind, name, bytes, detail)
        SELECT max(id), 'dangling', encode(sha512('{blob}'), 'hex'), 1, '' FROM shacache.survey"""
    lost = f"{survey.format(days=2, blob='b4')}; {survey.format(days=1, blob='b2')}"
    assert changed(record, lost, LOOK) == [("lost blob", "soft-a", "ann", 1), ("lost blob", "soft-b", "ann", 1)]


# Fails when entries of the last thirty days alone are counted.
def test_a_key_that_fills_slowly_is_to_be_looked_into(record):
    assert changed(
        record,
        f"""INSERT INTO shacache.entry (created_at, key, metadata, signature, digest, sha512, account_id, signature_result)
           SELECT now() - n * interval '5 days', 'slow', '', '', sha256(n::text::bytea), sha512('b1'), 1, 'unsigned'
           FROM generate_series(0, 99) AS n;
           {NOTED}""",
        LOOK) == [("many entries", "slow", "ann", 100)]


@pytest.mark.parametrize(
    "settings, keys",
    [
        ({"since": "2026-01-02"}, ["soft-a", "soft-b", "k2", "soft-c"]),
        ({"until": "2026-01-01"}, ["k1"]),
        ({"account": "ben"}, ["k1", "soft-b"]),
        ({"account": "ben", "since": "2026-01-02", "until": "2026-01-02"}, ["soft-b"]),
    ],
)
def test_keys_of_a_span_and_of_an_account(record, settings, keys):
    assert asked(record, "SELECT key FROM report.keys", **settings) == [(key,) for key in keys]


BLOB = "INSERT INTO shacache.blob (sha512, size, account_id) VALUES (sha512('late'), 1, 1) RETURNING 1"
ENTRY = """
    SELECT shacache.record_entries(ARRAY[ROW(
        1, NULL, NULL, NULL, 0, '1 ms', 'late', 'late', '', '', sha256('late'), sha512('late'), 'unsigned', NULL, NULL, NULL,
        NULL, NULL)::shacache.entry_upload], ARRAY['new']) IS NULL"""


# Fails when record_entries notes no entries, or when who reads them doesn't look for the blob again.
@pytest.mark.parametrize("earlier, later", [(BLOB, ENTRY), (ENTRY, BLOB)])
def test_an_entry_and_its_blob_that_commit_at_the_same_time(record, earlier, later):
    missing = "SELECT key FROM report.entries_without_blob WHERE key = 'late'"
    try:
        with under_way(record._stack, earlier) as end:
            record.run(later, role="shacache_worker")
            assert ask(record, missing) == ([("late",)] if later == ENTRY else [])
            end()
        assert ask(record, missing) == []
        record.run("SELECT shacache.forget_entries_with_blob()", role="shacache_admin")
        assert record.run("SELECT count(*) FROM shacache.entry_before_blob WHERE created_at > '2026-06-01'") == [("0",)]
        # Keys are counted for all alike.
        assert record.run("SELECT key, entries, last_at FROM shacache.key_count ORDER BY key") == record.run(
            "SELECT key, count(*), max(created_at) FROM shacache.entry GROUP BY key ORDER BY key")
    finally:
        record.run("DELETE FROM shacache.blob WHERE size = 1; DELETE FROM shacache.entry WHERE key = 'late'; "
                   "DELETE FROM shacache.key_count WHERE key = 'late'; DELETE FROM shacache.upload WHERE request_id = 'late'")


def test_whoever_reads_reports_may_not_do_so_for_ever(database):
    assert database.run(
        "SELECT current_setting('temp_file_limit'), current_setting('idle_in_transaction_session_timeout')",
        role="shacache_report") == [("4GB", "10min")]


def test_nothing_is_to_be_looked_into_after_thirty_days_unless_somebody_asks(record):
    assert ask(record, LOOK) == []
    assert asked(record, LOOK, since="2026-01-01") == [
        ("no blob", "soft-a", "ann", 1), ("no blob", "k2", "ann", 1), ("unknown signer", "k2", "ann", 1)]


# A hundred, not ninety-nine; an entry that came just now has time to get its blob.
def test_flooded_keys_and_fresh_entries(record):
    assert changed(
        record,
        f"""INSERT INTO shacache.entry (key, metadata, signature, digest, sha512, account_id, signature_result)
           SELECT key, '', '', sha256((key || n)::bytea), sha512(blob::bytea), account.id, 'unsigned'
           FROM (VALUES ('of ann', 100, 'ann', 'b1'), ('few', 99, 'ann', 'b1'), ('of both', 50, 'ann', 'b1'),
                ('of both', 51, 'ben', 'b1'), ('fresh', 1, 'ben', 'nowhere')) AS new (key, most, account, blob)
           CROSS JOIN LATERAL generate_series(most * 1000, most * 1000 + most - 1) AS n
           JOIN shacache.account ON account.name = new.account;
           {NOTED}""",
        f"{LOOK} ORDER BY key",
    ) == [("many entries", "of ann", "ann", 100), ("many entries", "of both", None, 101)]


# Of ann's two, another one lasts longer; cleo is disabled; ben's longest was revoked.
def test_expiring_certificates(record):
    assert changed(
        record,
        """INSERT INTO shacache.certificate (
               fingerprint, account_id, subject, issuer, serial, not_before, not_after, origin, revoked_at)
           SELECT sha256((account.name || days)::bytea), account.id, '', '', '', now() - interval '1 year',
               now() + days * interval '1 day' + interval '1 hour', 'issued', CASE WHEN is_revoked THEN now() END
           FROM (VALUES ('ann', 5, false), ('ann', 300, false), ('ben', 20, false), ('ben', 300, true),
               ('ben', -3, false), ('ben', -90, false), ('cleo', 5, false), ('dora', 61, false))
               AS new (account, days, is_revoked)
           JOIN shacache.account ON account.name = new.account""",
        """SELECT account, days_left, (account_until::date - now()::date) AS account_days
           FROM report.expiring_certificates""",
    ) in [[("ben", -3, 20 + more), ("ann", 5, 300 + more), ("ben", 20, 20 + more)] for more in (0, 1)]


RIGHTS_ON_TABLES = """
    SELECT rolname, nspname || '.' || relname, privilege
    FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace AND nspname IN ('shacache', 'report')
    CROSS JOIN pg_roles
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
    WHERE relkind IN ('r', 'v', 'p', 'm') AND has_table_privilege(rolname, pg_class.oid, privilege)
        AND rolname IN ('shacache_worker', 'shacache_admin', 'shacache_report')
"""


# Fails when a view is not granted to both, or anything to PUBLIC or to a role that needs it not.
def test_the_views_are_read_by_two_roles_and_shacache_report_may_do_nothing_else(database):
    rights = ask(database, RIGHTS_ON_TABLES, role="shacache_owner")
    views = ask(database, "SELECT relname FROM pg_class WHERE relnamespace = 'report'::regnamespace AND relkind = 'v'")
    about_report = [(r, t, p) for r, t, p in rights if r == "shacache_report" or t.startswith("report.")]
    assert sorted(about_report) == sorted(
        (role, f"report.{view}", "SELECT") for role in ("shacache_admin", "shacache_report") for (view,) in views)


def test_shacache_report_may_use_the_schema_report_alone_and_create_nothing(database):
    assert ask(
        database,
        """SELECT nspname, privilege
           FROM pg_namespace CROSS JOIN unnest(ARRAY['USAGE', 'CREATE']) AS privilege
           WHERE nspname IN ('report', 'shacache', 'public')
               AND has_schema_privilege('shacache_report', oid, privilege)""",
        role="shacache_owner",
    ) == [("report", "USAGE")]


def test_workers_may_not_read_the_views(database):
    assert "permission denied for schema report" in refusal(
        database, "SELECT * FROM report.upload", "shacache_worker")


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
                "entry.is_shared", "entry.renewed_at", "entry.withdrawal_id",
                # What an upstream says now, in the place of what it said before.
                *(f"fetched_key.{column}" for column in (
                    "answered_at", "bytes", "list_digest", "refusal", "refused_pairs", "upstream_id", "wanted_at")),
                # What upstreams gave.
                *(f"upstream_day.{column}" for column in ("blobs", "bytes", "failures", "faults", "keys", "refused_pairs")),
                *(f"upstream_fault.{column}" for column in ("detail", "last_at", "times")),
                # As far as an account withdrew it itself: see the triggers in 0004_store.sql.
                "withdrawal.lifted_at", "withdrawal.lifted_by",
            ],
        ),
        (
            "shacache_admin",
            [
                *(f"account.{column}" for column in (
                    "blob_size_limit", "blobs_limit", "bytes_limit", "disabled_at", "entries_per_day_limit",
                    "entries_per_key_limit", "key_prefixes", "roles")),
                *(f"account_request.{column}" for column in ("decided_at", "fingerprint", "reason")),
                *COUNTERS, "blob.last_referenced_at", "blob.withdrawal_id",
                *(f"blob_download.{column}" for column in ("bytes", "partial", "probes", "whole")),
                "certificate.revoked_at",
                *(f"download_day.{column}" for column in ("bytes", "not_found", "partial", "probes", "whole")),
                "entry.is_shared", "entry.renewed_at", "entry.withdrawal_id",
                *(f"import.{column}" for column in (
                    "absent", "blobs", "bytes", "duplicates", "entries", "finished_at", "problem", "refused")),
                *(f"key_lookup.{column}" for column in ("bytes", "found", "not_found")),
                *(f"log_position.{column}" for column in ("is_finished", "path", "position", "read_at")),
                *(f"mirror.{column}" for column in ("current_at", "is_following", "item_at", "number", "numbering")),
                *(f"mirror_item.{column}" for column in ("due_at", "is_absent", "reason", "tried_at", "tries")),
                "pin.removed_at", "pin.removed_by",
                *(f"scrub_finding.{column}" for column in (
                    "bytes", "healed_at", "healed_by", "host", "is_quarantined", "problem")),
                *(f"scrub_shelf.{column}" for column in ("bytes", "files", "finished_at", "host", "position", "started_at")),
                "signer.revoked_at", "signer.revoked_since",
                *(f"task_run.{column}" for column in ("at", "findings", "is_forgotten")),
                "upstream_day.downloads", "upstream_day.sent_bytes",
                "withdrawal.lifted_at", "withdrawal.lifted_by",
            ],
        ),
        # What it moves and removes, step by step; nothing of an upload but where it is on that way.
        (
            "shacache_collector",
            [
                *COUNTERS, "blob.deleting_at", "blob.last_referenced_at", "blob.left_by", "blob.used_at",
                *(f"collection.{column}" for column in (
                    "finished_at", "hidden_blobs", "hidden_bytes", "hidden_entries", "problem", "trash_blobs", "trash_bytes")),
                *(f"collection_sum.{column}" for column in (
                    "freed_blobs", "freed_bytes", "hidden_entries", "marked_blobs", "removed_blobs", "removed_bytes",
                    "removed_entries", "withdrawal_id")),
                "entry.withdrawal_id",
                *(f"fetched_total.{column}" for column in (
                    "at", "blobs", "bytes", "bytes_limit", "keys", "outdated_keys", "stale_keys")),
                "key_count.entries",
                *(f"task_run.{column}" for column in ("at", "findings", "is_forgotten")),
                *(f"trash.{column}" for column in (
                    "account_id", "created_at", "is_shared", "last_referenced_at", "moved_at", "policy", "removed_at", "sha512",
                    "size", "upstream_id")),
                *(f"withdrawal.{column}" for column in ("at", "lifted_at", "lifted_by", "removed_at")),
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
def test_only_the_owner_and_the_collector_may_delete_what_cannot_be_fetched_again(database):
    rights = ask(database, RIGHTS_ON_TABLES, role="shacache_owner")
    assert ("shacache_worker", "shacache.entry", "INSERT") in rights
    assert {right for right in rights if right[2] not in ("SELECT", "INSERT")} == {
        ("shacache_worker", f"shacache.{table}", "DELETE") for table in (
            "fetched_entry", "fetched_key", "upstream_absence", "upstream_fault")} | {
        ("shacache_admin", f"shacache.{table}", "DELETE") for table in ("account_request", "mirror", "mirror_item")}


# Fails when the collector is granted more than what a collection removes.
def test_the_collector_deletes_what_a_collection_removes_and_nothing_else(database):
    rights = ask(
        database, RIGHTS_ON_TABLES.replace("'shacache_worker', 'shacache_admin', 'shacache_report'", "'shacache_collector'"),
        role="shacache_owner")
    assert {table for _, table, right in rights if right not in ("SELECT", "INSERT", "UPDATE")} == {
        f"shacache.{table}" for table in ("blob", "entry", "entry_before_blob", "key_count", "trash")}


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
        ("UPDATE shacache.withdrawal SET reason = ''", "permission denied for table withdrawal"),
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
