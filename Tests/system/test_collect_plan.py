"""shacache-admin collect plan and pin: what goes by the policies of shacache.toml, and what is said of it."""

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import time

import pytest
from administration import ADMIN, assert_refused, listed, run
from deployed import client_of
from stack import Database, Stack
from test_have import ask

SOURCES = """
[[retention]]
name = "sources"
kind = "download"
keep-since-use = "30 days"
keep-newest = 2
newest-of = "key"
[[retention]]
name = "loose"
blobs = "unnamed"
keep-since-upload = "30 days"
"""


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A cache whose downloads are counted for a year."""
    with Stack(tmp_path_factory.mktemp("old"), ANONYMOUS="1") as stack:
        stack.ingest_log()
        Database(stack).run("INSERT INTO shacache.download_day VALUES (now()::date - 365, 'blob', 0, 0, 0, 0, 0)")
        yield stack


@pytest.fixture
def kept(old):
    """The same, in which something stays whatever a policy says; and nothing else is left of other tests."""
    yield old
    Database(old).run("""
        DELETE FROM shacache.entry; DELETE FROM shacache.blob; DELETE FROM shacache.key_count;
        DELETE FROM shacache.pin; DELETE FROM shacache.blob_question; DELETE FROM shacache.key_question;
        DELETE FROM shacache.entry_before_blob; DELETE FROM shacache.account_usage; DELETE FROM shacache.blob_download;
        DELETE FROM shacache.key_lookup""", role="postgres")


def source(number):
    return f"file-urlmd5:{hashlib.md5(str(number).encode()).hexdigest()}"


def uploaded(stack, key, data, days=0, **more):
    """By the deployed client, and aged; the blob's name."""
    digest = client_of(stack).upload(io.BytesIO(data), key, **(more or {"file": "a"}))
    age(stack, days, digest)
    return digest


def age(stack, days, digest):
    Database(stack).run(f"""
        UPDATE shacache.blob SET created_at = now() - interval '{days} days', last_referenced_at = now() - interval '{days} days'
        WHERE sha512 = '\\x{digest}';
        UPDATE shacache.entry SET created_at = now() - interval '{days} days' WHERE sha512 = '\\x{digest}'""")


def configured(stack, policies, tmp_path):
    """The words that make a command obey policies."""
    file = tmp_path / "shacache.toml"
    file.write_text((stack.state / "shacache.toml").read_text() + policies)
    return "--config", file


def plan(stack, policies, tmp_path, *words):
    done = run("collect", "plan", *configured(stack, policies, tmp_path), *words)
    assert done.returncode == 0, done
    return done


def going(stack, policies, tmp_path):
    """What goes, as (policy, key or None, blob)."""
    answer = json.loads(plan(stack, policies, tmp_path, "--list", "--json").stdout)
    return {(row["policy"], row["key"], row["sha512"]) for row in answer["list"]}


def figures(stack, policies, tmp_path):
    """The line of each policy."""
    answer = json.loads(plan(stack, policies, tmp_path, "--json").stdout)
    return {row["policy"]: row for row in answer["policies"]}


# What the plan says


def test_the_plan_of_what_real_clients_have_uploaded_in_three_forms(kept, tmp_path):
    unused = uploaded(kept, source(1), b"a" * 1000, days=90)
    uploaded(kept, source(2), b"b" * 100, days=10)
    uploaded(kept, "pypi:six=1.16.0", b"c", days=400)
    loose = kept.upload(b"d" * 50)
    age(kept, 60, loose)
    for number in (3, 4):
        uploaded(kept, source(1), b"n%d" % number, days=50 - number)
    # The newest two of a key stay, however old.
    assert going(kept, SOURCES, tmp_path) == {("sources", source(1), unused), ("loose", None, loose)}

    done = plan(kept, SOURCES, tmp_path)
    assert [line.split() for line in done.stdout.splitlines()] == [
        "POLICY ENTRIES BLOBS BYTES WAITING ENTRIES WAITING BLOBS PINNED ENTRIES PINNED BLOBS PINNED BYTES NAMED BLOBS NAMED BYTES".split(),
        "sources 1 1 1000 0 0 0 0 0 0 0".split(), "loose 0 1 50 0 0 0 0 0 0 0".split()]
    assert done.stderr == ""

    rows = list(csv.DictReader(io.StringIO(plan(kept, SOURCES, tmp_path, "--csv").stdout)))
    assert [(row["policy"], row["entries"], row["blobs"], row["bytes"]) for row in rows] == [
        ("sources", "1", "1", "1000"), ("loose", "0", "1", "50")]
    [entry, blob] = csv.DictReader(io.StringIO(plan(kept, SOURCES, tmp_path, "--csv", "--list").stdout))
    assert (entry["key"], entry["sha512"], entry["bytes"]) == (source(1), unused, "1000")
    assert re.fullmatch(r"uploaded 20\d\d-\d\d-\d\d, not used for 30 days, not of the newest 2 of its key", entry["why"])
    assert (blob["entry"], blob["sha512"]) == ("", loose)
    # Read only: what is planned stays, and the audit knows nothing of it.
    assert len(kept.entries(source(1))) == 3
    assert Database(kept).run("SELECT FROM shacache.audit WHERE action LIKE 'collect%'") == []


def test_without_a_policy_nothing_goes(kept, tmp_path):
    uploaded(kept, source(1), b"a", days=900)
    done = plan(kept, "", tmp_path, "--list", "--json")
    assert json.loads(done.stdout) == {"policies": [], "list": []}
    assert "has no retention policy: nothing is ever removed" in done.stderr


def test_a_long_list_is_cut_short_in_a_table_and_says_so(kept, tmp_path):
    uploaded(kept, "stays", b"stays")
    for number in range(3):
        uploaded(kept, source(number), b"%d" % number, days=90)
    policy = '[[retention]]\nname = "all"\nkind = "download"\nkeep-since-upload = "1 day"\n'
    assert len(plan(kept, policy, tmp_path, "--list", "--limit", "2").stdout.splitlines()) == 6
    assert len(plan(kept, policy, tmp_path, "--list").stdout.splitlines()) == 7


# CollectionPlan+Figures: a blob is freed once, and only when all that name it go.
def test_a_blob_counts_once_and_only_when_all_of_its_entries_go(kept, tmp_path):
    twice, shared = b"t" * 100, b"s" * 10
    for key in source(1), source(2):
        uploaded(kept, key, twice, days=90)
    uploaded(kept, source(3), shared, days=90)
    uploaded(kept, "other", shared, days=90)
    policy = '[[retention]]\nname = "old"\nkind = "download"\nkeep-since-upload = "30 days"\n'
    line = figures(kept, policy, tmp_path)["old"]
    assert (line["entries"], line["blobs"], line["bytes"], line["named_blobs"], line["named_bytes"]) == (3, 1, 100, 1, 10)


# Use


def old_source(stack, number=1):
    """An entry and its blob that nobody wanted for long, and one that stays."""
    uploaded(stack, "stays", b"stays")
    return uploaded(stack, source(number), os.urandom(20), days=90)


USED = '[[retention]]\nname = "unused"\nkind = "download"\nkeep-since-use = "30 days"\n'


@pytest.mark.parametrize("use", ["download", "probe", "lookup", "list of blobs", "list of keys", "upload"])
def test_whoever_uses_something_keeps_it(kept, tmp_path, use):
    digest = old_source(kept)
    assert going(kept, USED, tmp_path) == {("unused", source(1), digest)}
    match use:
        case "download":
            assert kept.request("GET", f"/shacache/{digest}")[0] == 200
        case "probe":
            assert kept.request("HEAD", f"/shacache/{digest}")[0] == 200
        case "lookup":
            assert kept.entries(source(1))
        case "list of blobs":
            assert ask(kept, [digest])[0].startswith("yes")
        case "list of keys":
            assert ask(kept, [source(1)], target="/shadir/-/have") == ["yes"]
        case "upload":
            kept.upload(kept.blob_file(digest).read_bytes())
    kept.ingest_log()
    assert going(kept, USED, tmp_path) == set()


# UseRecord: one row for each name, written once a day; and note_use.sql: not what isn't there.
def test_lists_are_noted_once_a_day_and_only_what_is_there(kept):
    digest, database = old_source(kept), Database(kept)
    for _ in range(3):
        assert len(ask(kept, [digest, digest, "0" * 128])) == 3
        ask(kept, [source(1), "missing"], target="/shadir/-/have")
    count = "SELECT (SELECT count(*) FROM shacache.blob_question), (SELECT count(*) FROM shacache.key_question)"
    assert database.run(count) == [("1", "1")]
    row = "SELECT ctid, xmin, day = (now() AT TIME ZONE 'UTC')::date FROM shacache.blob_question"
    [noted] = database.run(row)
    assert noted[2] == "t"
    ask(kept, [digest])
    assert database.run(row) == [noted]
    database.run("UPDATE shacache.blob_question SET day = day - 3")
    ask(kept, [digest])
    assert database.run("SELECT day = (now() AT TIME ZONE 'UTC')::date FROM shacache.blob_question") == [("t",)]


# Service.recordUse: behind the answer, and its failure is nobody's.
def test_a_list_is_answered_though_its_use_can_not_be_noted(kept):
    digest, database = old_source(kept), Database(kept)
    database.run("ALTER FUNCTION shacache.note_use(bytea[], text[]) RENAME TO away")
    try:
        assert ask(kept, [digest])[0].startswith("yes")
    finally:
        database.run("ALTER FUNCTION shacache.away(bytea[], text[]) RENAME TO note_use")


# CollectionPlan+Use: while use isn't known, nothing counts as unused.
def test_a_host_that_counts_its_log_no_more_stops_the_plan(kept, tmp_path):
    old_source(kept)
    database, words = Database(kept), ["collect", "plan", *configured(kept, USED, tmp_path)]
    try:
        database.run("""INSERT INTO shacache.task_run (task, host, at, findings)
                        VALUES ('ingest-log', 'gone', now() - interval '2 days', 0)""")
        assert_refused(run(*words), "the retention policy unused", "ingest-log` is late on gone (last at 20", "line ")
        kept.admin("host", "forget", "gone")
        assert run(*words).returncode == 0
    finally:
        database.run("DELETE FROM shacache.task_run WHERE host = 'gone'", role="postgres")


def test_what_was_used_before_downloads_were_counted_is_not_known(kept, tmp_path):
    old_source(kept)
    database = Database(kept)
    database.run("UPDATE shacache.download_day SET day = now()::date - 20 WHERE day < now()::date - 300", role="postgres")
    try:
        done = plan(kept, USED, tmp_path, "--list", "--json")
        assert json.loads(done.stdout)["list"] == []
        assert done.stderr == "unused keeps everything as used: downloads are counted for less than 30 days\n"
    finally:
        database.run("UPDATE shacache.download_day SET day = now()::date - 365 WHERE day = now()::date - 20", role="postgres")


# Dates


def test_what_has_expired_goes_by_whatever_way_of_writing(kept, tmp_path):
    stays = [uploaded(kept, f"test:{number}", os.urandom(9), **metadata) for number, metadata in enumerate([
        {}, {"expiration_date": "2999/01/01 10:00:00 GMT+1"}, {"valid-until": "never"}, {"expiration_date": None}])]
    gone = [uploaded(kept, f"test:1{number}", os.urandom(9), **metadata) for number, metadata in enumerate([
        {"expiration_date": "2020/01/01 10:00:00.123456 GMT+1"}, {"valid-until": 1600000000}, {"valid-until": "2020-02-02"},
        {"expiration_date": "Sun, 02 Feb 2020 10:00:00 GMT", "valid-until": "what"}])]
    policy = '[[retention]]\nname = "over"\nexpired = true\n'
    assert {blob for _, _, blob in going(kept, policy, tmp_path)} == set(gone)
    assert stays


# Pins


def test_what_is_pinned_stays_and_is_said_to(kept, tmp_path):
    uploaded(kept, "stays", b"stays")
    digests = [uploaded(kept, source(number), b"%d" % number * 10, days=90) for number in range(5)]
    release = hashlib.md5(b"https://example.org/software.cfg").hexdigest()
    uploaded(kept, release, b"r" * 7, days=90, software_url="https://example.org/software.cfg", multiarch="x", os=["a", "b", "c"])
    policy = '[[retention]]\nname = "old"\naccount = "demo"\nkeep-since-upload = "30 days"\n'
    [(number,)] = Database(kept).run(f"SELECT id FROM shacache.entry WHERE key = '{source(1)}'")
    for words in (("--key", source(0)), ("--entry", number), ("--blob", digests[2]),
                  ("--software-release", "https://example.org/software.cfg")):
        kept.admin("pin", "add", *words, "--reason", "a contract")
    assert {key for _, key, _ in going(kept, policy, tmp_path)} == {source(2), source(3), source(4)}
    line = figures(kept, policy, tmp_path)["old"]
    assert (line["entries"], line["blobs"], line["bytes"]) == (3, 2, 20)
    assert (line["pinned_entries"], line["pinned_blobs"], line["pinned_bytes"]) == (3, 4, 37)

    pins = listed(kept, "pin", "list")
    assert [pin["reason"] for pin in pins] == ["a contract"] * 4
    assert [pin["key"] for pin in pins] == [source(0), None, None, None]
    assert listed(kept, "report", "pins")[-1]["key"] == source(0)
    kept.admin("pin", "remove", str(pins[0]["number"]))
    assert source(0) in {key for _, key, _ in going(kept, policy, tmp_path)}
    assert Database(kept).run("SELECT action, subject, detail FROM shacache.audit WHERE action LIKE 'pin%' ORDER BY id")[-5:] == [
        ("pin add", str(pins[0]["number"]), f"key {source(0)}: a contract"),
        ("pin add", str(pins[1]["number"]), f"entry {number}: a contract"),
        ("pin add", str(pins[2]["number"]), f"blob {digests[2]}: a contract"),
        ("pin add", str(pins[3]["number"]), "software release https://example.org/software.cfg: a contract"),
        ("pin remove", str(pins[0]["number"]), "")]


def test_pins_that_say_not_what_or_not_why_are_refused(kept):
    words = ["--config", kept.state / "shacache.toml"]
    assert_refused(run("pin", "add", "--key", "k", *words), "--reason", code=64)
    assert_refused(run("pin", "add", "--key", "k", "--reason", "", *words), "a reason takes one line", code=64)
    assert_refused(run("pin", "add", "--key", "k", "--reason", "a\nb", *words), "a reason takes one line", code=64)
    assert_refused(run("pin", "add", "--reason", "why", *words), "name one of --key", code=64)
    assert_refused(run("pin", "add", "--key", "k", "--entry", "1", "--reason", "why", *words), "name one of --key", code=64)
    assert_refused(run("pin", "add", "--blob", "abc", "--reason", "why", *words), "128 hexadecimal digits", code=64)
    kept.admin("pin", "add", "--key", "k", "--reason", "why")
    assert_refused(run("pin", "add", "--key", "k", "--reason", "other", *words), "there is a pin of key k already")
    assert_refused(run("pin", "remove", "999999", *words), "there is no pin 999999")


# What a collection leaves for a while


def test_what_waits_for_untouched_is_said_and_is_what_apply_leaves(kept, tmp_path):
    # Fails without CollectionPlan.findPutAgain, and without the cutoff in CollectionPlan.sums.
    policies = """
[collection]
untouched = "2 hours"
[[retention]]
name = "old"
key-prefix = "old-"
keep-since-upload = "1 second"
[[retention]]
name = "loose"
blobs = "unnamed"
keep-since-upload = "1 second"
"""
    for number, hours in enumerate([0, 1, 3, 4]):
        digest = kept.upload(b"%d" % number)
        kept.index(f"old-{number}", metadata := json.dumps({"sha512": digest}))
        loose = kept.upload(b"loose %d" % number)
        if hours == 4:
            # Of what is put again, the entry knows it to an hour only.
            kept.index(f"old-{number}", metadata)
        Database(kept).run(f"""
            UPDATE shacache.entry SET created_at = now() - interval '{hours} hours', renewed_at = NULL WHERE key = 'old-{number}';
            UPDATE shacache.blob SET last_referenced_at = now() - interval '{hours} hours' WHERE sha512 = '\\x{loose}'""")
    kept.index("stays", json.dumps({"sha512": digest}))
    # A plan counts in whole seconds.
    time.sleep(2)
    planned = figures(kept, policies, tmp_path)
    assert (planned["old"]["entries"], planned["old"]["waiting_entries"], planned["old"]["waiting_blobs"]) == (4, 3, 0)
    assert (planned["loose"]["blobs"], planned["loose"]["waiting_entries"], planned["loose"]["waiting_blobs"]) == (4, 0, 2)
    done = plan(kept, policies, tmp_path)
    assert done.stderr == "3 entries and 2 blobs of these wait for `untouched` of [collection]: apply leaves them\n"
    (old, loose) = csv.DictReader(io.StringIO(plan(kept, policies, tmp_path, "--csv").stdout))
    assert (old["waiting_entries"], loose["waiting_blobs"]) == ("3", "2")
    done = run("collect", "apply", "--json", *configured(kept, policies, tmp_path))
    applied = {row["policy"]: row for row in json.loads(done.stdout)}
    assert applied["old"]["hidden_entries"] == 1 and applied["loose"]["marked_blobs"] == 2, applied


# What is refused


@pytest.mark.parametrize("policy, words", [
    ('name = "a"', ["retention.name: a keeps nothing: it would remove all that it matches at once"]),
    ('name = "a"\nkind = "download"', ["keeps nothing"]),
    ('name = "A b"\nkeep-since-use = "1 day"', ["retention.name: takes up to 63"]),
    ('keep-since-use = "1 day"', ["retention.name is missing"]),
    ('name = "a"\nkeep-since-use = "3 months"', ["line {2}: retention.keep-since-use: must be like \"90 days\""]),
    ('name = "a"\nkeep-since-use = 90', ["line {2}: retention.keep-since-use: must be a text in quotes"]),
    ('name = "a"\nkeep-since-upload = "0 days"', ["line {2}: retention.keep-since-upload"]),
    ('name = "a"\n# why\nkind = "sources"\nkeep-since-use = "1 day"',
     ['line {3}: retention.kind: must be one of "download", "pypi", "binary"']),
    ('name = "a"\nkeep-newest = 0\nnewest-of = "key"', ["line {2}: retention.keep-newest: must be a number from 1 on"]),
    ('name = "a"\nkeep-newest = 3', ["retention.keep-newest: goes with newest-of"]),
    ('name = "a"\nnewest-of = "key"\nkeep-since-use = "1 day"', ["retention.newest-of: goes with keep-newest"]),
    ('name = "a"\nexpired = "yes"', ["line {2}: retention.expired: must be true or false"]),
    ('name = "a"\nbytes = "lots"', ["line {2}: retention.bytes"]),
    ('name = "a"\nbytes = 0', ["line {2}: retention.bytes"]),
    ('name = "a"\nkey-prefix = ""\nkeep-since-use = "1 day"', ["retention.key-prefix: must not be empty"]),
    ('name = "a"\nkey-prefix = "a\\u0000b"\nkeep-since-use = "1 day"', ["line {2}: a text can't have a NUL"]),
    ('name = "a"\nblobs = "all"\nkeep-since-use = "1 day"', ['retention.blobs: must be "unnamed"']),
    ('name = "a"\nblobs = "unnamed"\nsigner = "s"\nkeep-since-use = "1 day"', ["line {3}: retention.signer: is of entries"]),
    ('name = "a"\nkeep-since-usage = "1 day"\nkeep-since-use = "1 day"', ["line {2}: unknown option retention.keep-since-usage"]),
])
def test_a_policy_that_can_not_be_read_stops_every_program_with_its_line(kept, tmp_path, policy, words):
    config = configured(kept, f"[[retention]]\n{policy}\n", tmp_path)
    begin = config[1].read_text().splitlines().index("[[retention]]") + 1
    words = [re.sub(r"\{(\d)\}", lambda match: str(begin + int(match[1])), word) for word in words]
    done = run("collect", "plan", *config)
    assert_refused(done, f"{config[1]}: ", *words)
    assert_refused(run("status", *config), *words)
    worker = subprocess.run([ADMIN.parent / "shacached", "--check-config", *config], capture_output=True, text=True)
    assert worker.returncode == 1 and words[0] in worker.stderr, worker


def test_two_policies_of_one_name_are_refused(kept, tmp_path):
    policy = '[[retention]]\nname = "a"\nkeep-since-upload = "1 day"\n'
    assert_refused(run("collect", "plan", *configured(kept, policy * 2, tmp_path)), "policy a: there is another one of that name")


@pytest.mark.parametrize("filter, words", [
    ('account = "nobody"', "there is no account nobody"), ('signer = "nobody"', "there is no signer nobody")])
def test_a_policy_that_names_nobody_is_refused_with_its_line(kept, tmp_path, filter, words):
    config = configured(kept, f'[[retention]]\nname = "a"\n{filter}\nkeep-since-upload = "1 day"\n', tmp_path)
    line = config[1].read_text().splitlines().index("[[retention]]") + 1
    assert_refused(run("collect", "plan", *config), f"{config[1]}: line {line}: the retention policy a: {words}")


def test_a_policy_that_would_remove_everything_is_refused(kept, tmp_path):
    uploaded(kept, source(1), b"a", days=90)
    policy = '[[retention]]\nname = "all"\nkeep-since-upload = "1 day"\n'
    assert_refused(run("collect", "plan", *configured(kept, policy, tmp_path)), "every visible entry would go, by all")
    uploaded(kept, source(2), b"b")
    plan(kept, policy, tmp_path)


def test_options_of_the_plan_that_contradict_each_other_are_wrong_usage(kept):
    words = ["--config", kept.state / "shacache.toml"]
    assert_refused(run("collect", "plan", "--csv", "--json", *words), "exclude each other", code=64)
    assert_refused(run("collect", "plan", "--limit", "3", *words), "--limit goes with --list", code=64)
    assert_refused(run("collect", "plan", "--list", "--limit", "0", *words), "--limit takes 1 or more", code=64)
