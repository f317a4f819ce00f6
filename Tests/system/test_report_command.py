"""`shacache-admin report` and `maintain`: what they print, and what they refuse."""

import csv
import io
import json
import subprocess

import pytest
from reports import fill
from stack import REPOSITORY

ADMIN = REPOSITORY / ".build/release/shacache-admin"

HOSTILE = {
    "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0",
    "+1": "'+1",
    "-1": "'-1",
    "@SUM(A1)": "'@SUM(A1)",
    "\tx": "'\tx",
    'with "quotes", a comma': 'with "quotes", a comma',
    "two\r\nlines": "two\r\nlines",
    "plain=1": "plain=1",
    "\x1b[2Jclear": "\x1b[2Jclear",
}


@pytest.fixture(scope="module")
def record(database):
    fill(database)
    literals = ", ".join("(U&'" + "".join(f"\\{ord(letter):04x}" for letter in key) + "')" for key in HOSTILE)
    database.run(f"""
        INSERT INTO shacache.upload (at, account_id, target, key, outcome, status, reason, duration, request_id)
        SELECT '2026-03-01 10:00+00', account.id, 'entry', key, 'refused', 400, 'malformed entry', '1 ms', 'hostile'
        FROM (VALUES {literals}) AS new (key), shacache.account WHERE name = 'dora'""")
    return database._stack


def report(stack, *words):
    done = stack.admin("report", *words)
    return done.stdout


def rows(stack, *words):
    return json.loads(report(stack, *words, "--format", "json"))


def raw(stack, *words):
    """Without Python's own view of line ends."""
    return subprocess.run(
        [ADMIN, *words, "--config", stack.state / "shacache.toml"], capture_output=True, check=True).stdout.decode()


def fields(text):
    return list(csv.reader(io.StringIO(text, newline="")))


def test_without_a_name_the_reports_are_listed_with_their_questions(record):
    listed = {row["report"]: row["question"] for row in rows(record)}
    assert listed["uploads"].startswith("How much was uploaded on each day")
    assert {"entries-to-look-into", "growth", "keys", "platforms", "refusals", "signers"} <= set(listed)
    assert "uploads" in report(record) and "How much was uploaded" in report(record)
    assert ["report", "question"] == fields(report(record, "--format", "csv"))[0]


# Fails when the command's list is not what views truly read: it follows their definitions, the comment is written.
def test_a_comment_names_the_settings_that_its_view_obeys(record):
    for row in rows(record):
        obeyed = row["question"].partition("Obeys")[2]
        for setting, value in [("since", "2026-01-01"), ("until", "2026-01-01"), ("account", "ann")]:
            done = record.admin("report", row["report"], f"--{setting}", value, check=False)
            assert (done.returncode == 0) == (setting in obeyed), (row, setting, done.stderr)


def test_a_report_is_json_with_numbers_lists_and_nulls(record):
    assert rows(record, "growth", "--since", "2026-01-02", "--until", "2026-01-02") == [
        {"day": "2026-01-02", "blobs": 2, "bytes": 70, "total_blobs": 4, "total_bytes": 1370, "entries": 6,
         "total_entries": 8}]
    assert rows(record, "platforms", "--account", "cleo")[0]["os"] is None
    assert rows(record, "platforms", "--account", "ben")[0]["os"] == ["debian", "12", "bookworm"]
    assert rows(record, "uploads", "--since", "2027-01-01") == []
    assert json.loads(record.admin("report", "uploads", "--json").stdout) == rows(record, "uploads")


def test_a_report_is_csv_with_lines_as_the_standard_ends_them(record):
    text = raw(record, "report", "uploads", "--format", "csv", "--until", "2026-01-02")
    assert text.count("\r\n") == text.count("\n") == 3
    assert fields(text) == [
        ["day", "uploads", "accepted", "refused", "failed", "blobs", "entries", "duplicates", "bytes", "new_bytes"],
        ["2026-01-02", "10", "10", "0", "0", "3", "7", "2", "2800", "1590"],
        ["2026-01-01", "5", "5", "0", "0", "3", "2", "1", "2710", "1710"],
    ]
    assert fields(report(record, "uploads", "--format", "csv", "--since", "2027-01-01")) == fields(text)[:1]


# Fails when csvText hands on what a spreadsheet would run.
def test_csv_disarms_formulas_and_quotes_what_has_quotes_commas_and_lines(record):
    table = fields(raw(record, "report", "upload", "--account", "dora", "--format", "csv"))
    column = table[0].index("key")
    assert sorted(row[column] for row in table[1:]) == sorted(HOSTILE.values())


def test_json_gives_hostile_keys_as_they_are(record):
    assert sorted(row["key"] for row in rows(record, "upload", "--account", "dora")) == sorted(HOSTILE)


def test_a_table_sends_no_control_character_to_the_terminal(record):
    table = report(record, "upload", "--account", "dora")
    assert "\x1b" not in table and "\ufffd[2Jclear" in table


def test_a_table_is_short_unless_told_otherwise(record, database):
    assert len(report(record, "upload", "--limit", "3").splitlines()) == 4
    database.run("""
        INSERT INTO shacache.upload (at, target, outcome, status, reason, duration, request_id)
        SELECT '2026-04-01 10:00+00', 'blob', 'refused', 403, 'not authorized', '1 ms', ''
        FROM generate_series(1, 2500)""")
    done = record.admin("report", "upload", "--since", "2026-04-01")
    assert (len(done.stdout.splitlines()), "the first 100; --limit" in done.stderr) == (101, True)
    # More than one batch.
    assert len(rows(record, "upload", "--since", "2026-04-01")) == 2500
    assert len(fields(report(record, "upload", "--since", "2026-04-01", "--format", "csv"))) == 2501
    assert len(rows(record, "upload", "--since", "2026-04-01", "--limit", "1200")) == 1200


def test_names_are_taken_with_dashes_and_with_underscores(record):
    assert rows(record, "largest-blobs") == rows(record, "largest_blobs") != []


@pytest.mark.parametrize(
    "words, code, message",
    [
        (["nothing"], 1, "there is no report nothing"),
        (['uploads"; DROP SCHEMA report; --'], 1, "there is no report uploads"),
        (["usage", "--account", "ann"], 1, "the report usage can't be asked for --account"),
        (["uploads", "--account", "nobody"], 1, "there is no account nobody"),
        (["uploads", "--since", "yesterday"], 64, "yesterday"),
        (["uploads", "--since", "2026-02-30"], 64, "2026-02-30"),
        (["uploads", "--since", "0000-01-01"], 64, "0000-01-01"),
        (["uploads", "--until", "2026-1-1"], 64, "2026-1-1"),
        (["uploads", "--limit", "0"], 64, "--limit takes 1 or more"),
        (["uploads", "--format", "xml"], 64, "xml"),
        (["--account", "ann"], 64, "name the report"),
    ],
)
def test_what_a_report_refuses(record, words, code, message):
    done = record.admin("report", *words, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr


def test_maintain_does_what_is_to_be_done_and_then_nothing(record, database):
    before = rows(record, "uploads")
    done = json.loads(record.admin("maintain", "--json").stdout)
    assert done["days_closed"][0] == "2026-01-01"
    assert {"2026-01-01", "2026-03-01", "2026-04-01"} <= set(done["months_made"])
    assert done["months_dropped"] == []
    assert "there was nothing to do" in record.admin("maintain").stderr
    assert rows(record, "uploads") == before
    assert database.run("SELECT count(*) > 0 FROM shacache.closed_day") == [("t",)]


# The shared fixture's caches keep all; this one is told otherwise, and told back.
def test_maintain_drops_what_is_older_than_the_retention(record, database):
    database.run("""
        INSERT INTO shacache.upload (target, outcome, status, reason, duration, request_id)
        VALUES ('blob', 'refused', 403, 'not authorized', '1 ms', 'today')""")
    before = rows(record, "uploads")
    file = record.state / "shacache.toml"
    made = file.read_text()
    try:
        file.write_text(f"{made}\n[record]\nretention-months = 1\n")
        done = record.admin("maintain")
        assert "months dropped: " in done.stderr
    finally:
        file.write_text(made)
    assert database.run("SELECT count(*) FROM shacache.upload WHERE at < now() - interval '62 days'") == [("0",)]
    assert rows(record, "uploads") == before


# Fails when output() says nothing of what it can't write; a FileHandle's own write would trap.
@pytest.mark.parametrize(
    "words", [["report"], ["report", "upload", "--format", "csv"], ["report", "upload", "--format", "json"],
              ["report", "uploads"], ["maintain", "--json"], ["status"], ["account", "list"]])
def test_a_full_disk_is_said(record, words):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([ADMIN, *words, "--config", record.state / "shacache.toml"], stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, b"shacache-admin: standard output: no space left on device\n")


LATE = """
    INSERT INTO shacache.upload (at, account_id, target, sha512, bytes, duplicate, outcome, status, duration, request_id)
    VALUES ('{day} 12:00+00', 1, 'blob', sha512('late'), 7, false, 'accepted', 201, '1 ms', 'late')"""


# Fails when recount_upload_days looks at months that were dropped: their sums would go.
def test_maintain_finds_and_mends_the_sums_of_days_that_were_closed_too_early(record, database):
    record.admin("maintain")
    (day,), = database.run("SELECT max(day) FROM shacache.closed_day WHERE NOT is_dropped")
    assert database.run("SELECT count(*) > 0 FROM shacache.closed_day WHERE is_dropped") == [("t",)]
    assert record.admin("maintain", "--recount").returncode == 0
    before = rows(record, "uploads")
    database.run(LATE.format(day=day))
    assert rows(record, "uploads") == before
    done = record.admin("maintain", "--recount", "--json", check=False)
    (found,) = json.loads(done.stdout)
    assert done.returncode == 1 and "--repair puts them right" in done.stderr
    assert (found["day"], found["counted_uploads"] - found["stored_uploads"], found["counted_bytes"] - found["stored_bytes"]) == (
        day, 1, 7)
    assert record.admin("maintain", "--recount", "--repair").returncode == 0
    assert record.admin("maintain", "--recount").returncode == 0
    after = rows(record, "uploads")
    assert [row for row in after if row not in before] == [
        row for row in after if row["day"] == day and row["bytes"] >= 7]
    assert database.run("SELECT action, subject FROM shacache.audit ORDER BY id DESC LIMIT 1") == [("maintain recount", day)]
    assert record.admin("maintain", "--repair", check=False).returncode == 64


@pytest.mark.parametrize("value", ["0", "-1", '"a year"'])
def test_a_retention_that_makes_no_sense_is_refused(record, tmp_path, value):
    file = tmp_path / "shacache.toml"
    file.write_text((record.state / "shacache.toml").read_text() + f"\n[record]\nretention-months = {value}\n")
    done = subprocess.run([ADMIN, "maintain", "--config", file], capture_output=True, text=True)
    assert done.returncode == 1 and "record.retention-months" in done.stderr
