"""Each report beside the SQL that checks it over single uploads, on a record made by chance: while every day is open,
when days are closed, and when months were dropped."""

import random
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
from reports import ask, asked
from stack import DatabaseError

NOW = datetime.now(timezone.utc)
ACCOUNTS = ["ann", "ben", "cleo", "dora"]
SIGNERS = ["sig-a", "sig-b"]

# What a checking statement counts, in place of the settings. {account} is NULL for all.
ASKED = """(at AT TIME ZONE 'UTC')::date BETWEEN coalesce({since}::date, '-infinity') AND coalesce({until}::date, 'infinity')
    AND coalesce(account.name = {account}, {account}::text IS NULL)"""

CHECKS = {
    "uploads": f"""
        SELECT (at AT TIME ZONE 'UTC')::date AS day, count(*), count(*) FILTER (WHERE status = 201) AS a,
            count(*) FILTER (WHERE status BETWEEN 400 AND 499) AS r, count(*) FILTER (WHERE status >= 500) AS f,
            count(*) FILTER (WHERE status = 201 AND target = 'blob') AS b,
            count(*) FILTER (WHERE status = 201 AND target = 'entry') AS e, count(*) FILTER (WHERE duplicate) AS d,
            coalesce(sum(bytes) FILTER (WHERE status = 201), 0) AS y,
            coalesce(sum(bytes) FILTER (WHERE NOT duplicate), 0) AS n
        FROM shacache.upload LEFT JOIN shacache.account ON account.id = account_id
        WHERE {ASKED} GROUP BY day ORDER BY day DESC""",
    "refusals": f"""
        SELECT outcome, reason, count(*), count(DISTINCT account_id) AS accounts, max(at)
        FROM shacache.upload LEFT JOIN shacache.account ON account.id = account_id
        WHERE status <> 201 AND {ASKED} GROUP BY outcome, reason ORDER BY 3 DESC, 1, 2""",
    "accounts": f"""
        SELECT account.name, count(at), count(*) FILTER (WHERE duplicate) AS d,
            round(100.0 * count(*) FILTER (WHERE outcome = 'refused') / nullif(count(at), 0), 1) AS p,
            coalesce(sum(bytes) FILTER (WHERE NOT duplicate), 0) AS n, max(at)
        FROM (
            SELECT upload.* FROM shacache.upload LEFT JOIN shacache.account ON account.id = account_id WHERE {ASKED}
        ) AS upload
        FULL JOIN shacache.account ON account.id = account_id
        WHERE coalesce(account.name = {{account}}, {{account}}::text IS NULL)
        GROUP BY account.name ORDER BY coalesce(sum(bytes) FILTER (WHERE status = 201), 0) DESC, 2 DESC, 1""",
    "signers": f"""
        SELECT coalesce(signature_result, 'not checked') AS signature, signer.name, count(*),
            count(DISTINCT account_id) AS accounts, coalesce(sum(bytes) FILTER (WHERE status = 201), 0) AS y
        FROM shacache.upload LEFT JOIN shacache.account ON account.id = account_id
        LEFT JOIN shacache.signer ON signer.id = signer_id
        WHERE target = 'entry' AND {ASKED} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2""",
    # Not of uploads, but of what is stored.
    "growth": """
        SELECT * FROM (
            SELECT day, sum(blobs), sum(bytes) AS y, sum(sum(blobs)) OVER (ORDER BY day) AS tb,
                sum(sum(bytes)) OVER (ORDER BY day) AS ty, sum(entries) AS e, sum(sum(entries)) OVER (ORDER BY day) AS te
            FROM (
                SELECT created_at, account_id, 1 AS blobs, size AS bytes, 0 AS entries FROM shacache.blob
                UNION ALL SELECT created_at, account_id, 0, 0, 1 FROM shacache.entry
                UNION ALL SELECT at, account_id, 0, 0, 0 FROM shacache.upload
            ) AS stored
            LEFT JOIN shacache.account ON account.id = account_id
            CROSS JOIN LATERAL (SELECT (stored.created_at AT TIME ZONE 'UTC')::date AS day) AS utc
            WHERE coalesce(account.name = {account}, {account}::text IS NULL) GROUP BY day) AS running
        WHERE day BETWEEN coalesce({since}::date, '-infinity') AND coalesce({until}::date, 'infinity') ORDER BY day DESC""",
    "duplicates": f"""
        SELECT (at AT TIME ZONE 'UTC')::date AS day, account.name, count(*), sum(bytes), count(*) FILTER (WHERE duplicate) AS d,
            coalesce(sum(bytes) FILTER (WHERE duplicate), 0) AS s
        FROM shacache.upload JOIN shacache.account ON account.id = account_id
        WHERE status = 201 AND target = 'blob' AND {ASKED} GROUP BY 1, 2 ORDER BY 1 DESC, 6 DESC, 2""",
    "upload": f"""
        SELECT upload.id FROM shacache.upload LEFT JOIN shacache.account ON account.id = account_id
        WHERE {ASKED} ORDER BY at DESC, upload.id DESC""",
}

# The columns of each report that its check adds up.
SHOWN = {
    "uploads": "*",
    "refusals": "outcome, reason, uploads, accounts, last_at",
    "accounts": "account, uploads, duplicates, refused_percent, new_bytes, last_at",
    "signers": "signature, signer, uploads, accounts, bytes",
    "growth": "*",
    "duplicates": "day, account, blobs, bytes, duplicate_blobs, saved_bytes",
    "upload": "id",
}

# Days before today.
QUESTIONS = [
    {},
    {"since": 30},
    {"until": 40},
    {"since": 60, "until": 31, "account": "ben"},
    {"since": 1, "until": 0},
    {"account": "cleo"},
]


def made_by_chance(random):
    """Statements that fill a record of seventy days until now, and store what its uploads stored."""
    uploads, blobs, entries = [], {}, {}
    for at in sorted(random.uniform(0, 70) for _ in range(2500)):
        at = f"'{NOW - timedelta(days=70 - at)}'::timestamptz"
        account = random.randint(1, 3)  # dora never uploads
        target, bytes_ = random.choice(["blob", "entry"]), random.randint(0, 5000)
        signer = random.choice(["NULL", 1, 2]) if target == "entry" else "NULL"
        result = "'verified'" if signer != "NULL" else "'unsigned'" if target == "entry" else "NULL"
        if random.random() < 0.2:
            account = random.choice(["NULL", account])
            status, reason = random.choice([(403, "not authorized"), (400, "malformed entry"), (507, "no space")])
            outcome = "refused" if status < 500 else "failed"
            result, signer = random.choice([("NULL", "NULL"), (result, signer)])
            uploads.append(f"({at}, {account}, '{target}', NULL, NULL, {bytes_}, NULL, {result}, {signer}, "
                           f"'{outcome}', {status}, '{reason}')")
            continue
        name = f"{target} {random.randint(1, 600)}"
        stored = blobs if target == "blob" else entries
        duplicate = name in stored
        bytes_ = stored.setdefault(name, (at, account, bytes_, result, signer))[2]
        uploads.append(f"({at}, {account}, '{target}', '{name}', sha512('{name}'), {bytes_}, {duplicate}, {result}, "
                       f"{signer}, 'accepted', 201, NULL)")
    yield "INSERT INTO shacache.blob (created_at, account_id, sha512, size) VALUES " + ", ".join(
        f"({at}, {account}, sha512('{name}'), {size})" for name, (at, account, size, _, _) in blobs.items())
    yield ("INSERT INTO shacache.entry (created_at, account_id, key, metadata, signature, digest, sha512, "
           "signature_result, signer_id) VALUES " + ", ".join(
               f"({at}, {account}, '{name}', '', '', sha256('{name}'), sha512('{name}'), {result}, {signer})"
               for name, (at, account, _, result, signer) in entries.items()))
    yield ("INSERT INTO shacache.upload (at, account_id, target, key, sha512, bytes, duplicate, signature_result, "
           "signer_id, outcome, status, reason, duration, request_id) SELECT *, interval '1 ms', '' FROM (VALUES "
           + ", ".join(uploads)
           + ") AS new (at, account_id, target, key, sha512, bytes, duplicate, signature_result, signer_id, outcome, "
             "status, reason)")


@pytest.fixture(scope="module")
def record(database):
    for table, names in [("account (name)", ACCOUNTS), ("signer (name, certificate, public_key)", SIGNERS)]:
        more = ", '', '{0}'" if "key" in table else ""
        database.run(f"INSERT INTO shacache.{table} VALUES " + ", ".join(
            f"('{name}'{more.format(name)})" for name in names))
    for statement in made_by_chance(random.Random(4)):
        database.run(statement)
    yield database


def answers(database):
    """What each report says to each question."""
    found = {}
    for number, question in enumerate(QUESTIONS):
        settings = {name: value if name == "account" else (NOW - timedelta(days=value)).date()
                    for name, value in question.items()}
        parts = ", ".join(
            f"(SELECT json_agg(answer) FROM (SELECT {columns} FROM report.{report}) AS answer) AS {report}"
            for report, columns in SHOWN.items())
        (row,) = asked(database, f"SELECT {parts}", **settings)
        for report, rows in zip(SHOWN, row):
            found[report, number] = [tuple(row.values()) for row in rows or []], settings
    return found


def checked(database, report, settings):
    values = {name: f"'{settings[name]}'" if name in settings else "NULL" for name in ("since", "until", "account")}
    return ask(database, CHECKS[report].format(**values), role="shacache_owner")


def idle(rows, report):
    """Without signers that signed nothing: no upload tells of them."""
    return [row for row in rows if report != "signers" or row[2] > 0]


# Fails when a column of a view counts other uploads, or a setting is left out.
def test_each_report_is_what_single_uploads_add_up_to(record):
    for (report, question), (rows, settings) in answers(record).items():
        assert rows and idle(rows, report) == checked(record, report, settings), (report, QUESTIONS[question])


def test_closing_days_changes_no_report(record):
    open_ = answers(record)
    assert record.run("SELECT count(*) FROM shacache.closed_day") == [("0",)]
    closed = record.run("SELECT shacache.close_upload_days()", role="shacache_admin")
    assert len(closed) >= 69
    assert answers(record) == open_
    assert record.run("SELECT shacache.close_upload_days()", role="shacache_admin") == []
    # Half of them open again, as when it has not been run for long.
    record.run("""
        DELETE FROM shacache.upload_day WHERE day > now() - interval '35 days';
        DELETE FROM shacache.closed_day WHERE day > now() - interval '35 days'""")
    assert answers(record) == open_
    record.run("SELECT shacache.close_upload_days()", role="shacache_admin")
    assert answers(record) == open_


# Fails when the sums of closed days are not what the views read.
def test_sums_of_closed_days_are_read_and_not_their_uploads(record):
    before = ask(record, "SELECT sum(uploads)::bigint FROM report.uploads")
    record.run("SELECT shacache.close_upload_days()", role="shacache_admin")
    plan = "\n".join(text for (text,) in record.run("EXPLAIN (ANALYZE, COSTS OFF) SELECT * FROM report.uploads"))
    assert "never executed" in plan
    assert before == ask(record, "SELECT sum(uploads)::bigint FROM report.uploads")


def test_a_day_is_closed_an_hour_after_its_end(record):
    record.run("SELECT shacache.close_upload_days()", role="shacache_admin")
    assert record.run("""
        SELECT max(day) = ((now() - interval '1 hour') AT TIME ZONE 'UTC')::date - 1, count(*) = max(day) - min(day) + 1
        FROM shacache.closed_day""") == [("t", "t")]


def partitions(database):
    return [name for (name,) in database.run(
        "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'shacache.upload'::regclass "
        "ORDER BY relname")]


# Fails when the default partition is missing, or its rows stay where they are.
def test_uploads_of_months_without_a_partition_are_moved_into_one(record):
    before = answers(record)
    months = record.run("SELECT count(DISTINCT tableoid) FROM shacache.upload")
    assert record.run("SELECT count(*) > 0 FROM shacache.upload_default") == [("t",)], months
    made = record.run("SELECT shacache.make_upload_months()", role="shacache_admin")
    assert made and record.run("SELECT count(*) FROM shacache.upload_default") == [("0",)]
    assert record.run("SELECT shacache.make_upload_months()", role="shacache_admin") == []
    assert answers(record) == before


def test_there_is_a_partition_for_this_month_and_the_next_two(record):
    record.run("SELECT shacache.make_upload_months()", role="shacache_admin")
    expected = record.run("""
        SELECT 'upload_' || to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month', 'YYYY_MM')
        FROM generate_series(0, 2) AS n""")
    assert {name for (name,) in expected} <= set(partitions(record))


# Fails when a month is dropped that is not closed, or one that is kept.
def test_dropped_months_stay_in_the_sums(record):
    record.run("SELECT shacache.make_upload_months()", role="shacache_admin")
    record.run("DELETE FROM shacache.upload_day; DELETE FROM shacache.closed_day")
    assert record.run("SELECT shacache.drop_upload_months(1)", role="shacache_admin") == []
    record.run("SELECT shacache.close_upload_days()", role="shacache_admin")
    before = answers(record)
    names = partitions(record)
    dropped = [f"upload_{month[:7].replace('-', '_')}"
               for (month,) in record.run("SELECT shacache.drop_upload_months(1)", role="shacache_admin")]
    assert dropped and dropped == names[:len(dropped)]
    assert partitions(record) == names[len(dropped):]
    assert record.run("""
        SELECT date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month'
            = date_trunc('month', min(at) AT TIME ZONE 'UTC') FROM shacache.upload""") == [("t",)]
    after = answers(record)
    assert {key for key in before if before[key] != after[key]} <= {("upload", n) for n in range(len(QUESTIONS))}
    assert record.run("SELECT shacache.drop_upload_months(1)", role="shacache_admin") == []


def test_workers_upload_into_any_month(record):
    row = "SELECT {}, 1, 'blob', sha512(''), 0, true, 'accepted', 201, interval '1 ms', ''"
    assert record.run(
        f"""BEGIN;
            INSERT INTO shacache.upload (
                at, account_id, target, sha512, bytes, duplicate, outcome, status, duration, request_id)
            {row.format("now()")} UNION ALL {row.format("now() + interval '9 years'")}
            RETURNING tableoid::regclass::text = 'shacache.upload_default';
            ROLLBACK""", role="shacache_worker") == [("f",), ("t",)]


# Fails when the functions run with their caller's rights, or anybody may call them.
@pytest.mark.parametrize("function", ["make_upload_months()", "close_upload_days()", "drop_upload_months(1)"])
@pytest.mark.parametrize("role", ["shacache_worker", "shacache_page"])
def test_upkeep_is_for_administrators_alone(record, function, role):
    rights = f"SELECT has_function_privilege('{{}}', 'shacache.{function.replace('1', 'integer')}', 'EXECUTE')"
    assert record.run(rights.format(role)) == [("f",)]
    assert record.run(rights.format("shacache_admin")) == [("t",)]


# Fails when begin_maintenance takes no lock: the second then goes on at once.
def test_of_two_upkeeps_at_once_one_waits_for_the_other(record):
    url = record._stack.env["DATABASE_URL"].replace("shacache_owner", "shacache_admin")
    with subprocess.Popen(["psql", "-XqAt", "-d", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        first.stdin.write("BEGIN; SELECT count(*) FROM shacache.close_upload_days();\n")
        first.stdin.flush()
        assert first.stdout.readline()
        with pytest.raises(DatabaseError, match="lock timeout"):
            record.run("SET lock_timeout = '100ms'; SELECT shacache.make_upload_months()", role="shacache_admin")
        first.stdin.close()
    record.run("SELECT shacache.make_upload_months()", role="shacache_admin")
