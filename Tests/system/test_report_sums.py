"""Each report beside the SQL that checks it over single rows, on a record made by chance: while every day is open, when
days are closed, and when months were dropped."""

import random
import subprocess
from datetime import timedelta

import pytest
from chance import NOW, made_by_chance
from report_checks import CHECKS
from reports import ask, asked
from stack import DatabaseError

# Days before today.
QUESTIONS = [
    {},
    {"since": 30},
    {"until": 40},
    {"since": 60, "until": 31, "account": "ben"},
    {"since": 1, "until": 0},
    {"account": "cleo"},
]


@pytest.fixture(scope="module")
def record(database):
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
            for report, (columns, _) in CHECKS.items())
        (row,) = asked(database, f"SELECT {parts}", **settings)
        for report, rows in zip(CHECKS, row):
            found[report, number] = [tuple(row.values()) for row in rows or []], settings
    return found


def checked(database, report, settings):
    values = {name: f"'{settings[name]}'" if name in settings else "NULL" for name in ("since", "until", "account")}
    return ask(database, CHECKS[report][1].format(**values), role="shacache_owner")


def idle(rows, report):
    """Without signers that signed nothing: no upload tells of them."""
    return [row for row in rows if report != "signers" or row[2] > 0]


# Fails when a column of a view counts other uploads, or a setting is left out.
def test_each_report_is_what_single_uploads_add_up_to(record):
    told = set()
    for (report, question), (rows, settings) in answers(record).items():
        assert idle(rows, report) == checked(record, report, settings), (report, QUESTIONS[question])
        told |= {report} if rows else set()
    assert told == set(CHECKS)


def test_each_view_has_a_check(record):
    views = record.run("SELECT relname FROM pg_class WHERE relnamespace = 'report'::regnamespace AND relkind = 'v'")
    assert {name for (name,) in views} == set(CHECKS)


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


# Fails when close_upload_days believes the clock alone: it may be wrong by a year, and is soon set right.
def test_no_day_is_closed_before_there_is_an_upload_of_a_later_one(record):
    assert record.run("""
        BEGIN;
        DELETE FROM shacache.upload_day; DELETE FROM shacache.closed_day;
        DELETE FROM shacache.upload WHERE at > now() - interval '5 days';
        SELECT count(*) > 0 FROM shacache.close_upload_days();
        SELECT max(day) = (SELECT (max(at) AT TIME ZONE 'UTC')::date - 1 FROM shacache.upload) FROM shacache.closed_day;
        ROLLBACK""") == [("t\nt",)]


# Fails without an index of 0006_record.sql: all of the record is read then.
@pytest.mark.parametrize("column", ["request_id", "key", "reason", "sha512"])
def test_one_upload_key_or_blob_is_found_by_an_index(record, column):
    record.run("ANALYZE shacache.upload")
    plan = record.run(f"SET enable_seqscan = off; EXPLAIN (COSTS OFF) SELECT * FROM report.upload WHERE {column} = 'x'")
    conditions = [line for (line,) in plan if "Index Cond" in line and "name =" not in line]
    assert any(column in line for line in conditions), plan


def partitions(database):
    return [name for (name,) in database.run(
        "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'shacache.upload'::regclass "
        "ORDER BY relname")]


def make_months(database):
    """One a call, until there is none to make."""
    made = []
    while month := database.run("SELECT shacache.make_missing_upload_month()", role="shacache_admin"):
        made += month
    return made


# Fails when the default partition is missing, or its rows stay where they are.
def test_uploads_of_months_without_a_partition_are_moved_into_one(record):
    before = answers(record)
    months = record.run("SELECT count(DISTINCT tableoid) FROM shacache.upload")
    assert record.run("SELECT count(*) > 0 FROM shacache.upload_default") == [("t",)], months
    made = make_months(record)
    assert made and record.run("SELECT count(*) FROM shacache.upload_default") == [("0",)]
    assert make_months(record) == []
    assert answers(record) == before


def test_there_is_a_partition_for_this_month_and_the_next_two(record):
    make_months(record)
    expected = record.run("""
        SELECT 'upload_' || to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month', 'YYYY_MM')
        FROM generate_series(0, 2) AS n""")
    assert {name for (name,) in expected} <= set(partitions(record))


# Fails when a month is dropped that is not closed, or one that is kept.
def test_dropped_months_stay_in_the_sums(record):
    make_months(record)
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
@pytest.mark.parametrize("function", ["make_missing_upload_month()", "close_upload_days()", "recount_upload_days(true)", "drop_upload_months(1)",
     "forget_entries_with_blob()", "fold_missed_keys(1)", "fold_download_month(1)"])
@pytest.mark.parametrize("role", ["shacache_worker", "shacache_page"])
def test_upkeep_is_for_administrators_alone(record, function, role):
    rights = f"SELECT has_function_privilege('{{}}', 'shacache.{function.replace('1', 'integer').replace('true', 'boolean')}', 'EXECUTE')"
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
            record.run("SET lock_timeout = '100ms'; SELECT shacache.make_missing_upload_month()", role="shacache_admin")
        first.stdin.close()
    make_months(record)
