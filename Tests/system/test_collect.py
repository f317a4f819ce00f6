"""`shacache-admin collect apply`: what policies let go is hidden, removed and freed, online, and nothing else is lost."""

import errno
import json
import os
import random
import subprocess
import time

import processes
import pytest
from collecting import SETTINGS, CollectedLoad, Collector, check_counts, check_history, collect
from history import DOWNLOAD, LIST, LOOK_UP, UPLOAD, History
from stack import REPOSITORY, Database, DatabaseError, Stack, eventually
from test_database_away import stopped_database, wait_for_database

# Nothing has to wait but for the grace time.
AT_ONCE = """
[collection]
grace = "1 hour"
untouched = "0 seconds"
removal-delay = "0 seconds"

[[retention]]
name = "old"
key-prefix = "old-"
keep-since-upload = "1 day"

[[retention]]
name = "unnamed"
blobs = "unnamed"
keep-since-upload = "1 day"
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("collect"), ANONYMOUS="1") as stack:
        stack.configure(AT_ONCE)
        stack.index("stays", json.dumps({"sha512": stack.upload(b"stays")}))
        yield stack


def age(stack):
    """As if all were two days old: uploads, what was hidden, marked and removed."""
    Database(stack).run("""
        UPDATE shacache.blob SET created_at = created_at - interval '2 days',
            last_referenced_at = last_referenced_at - interval '2 days', deleting_at = deleting_at - interval '2 days';
        WITH older AS (UPDATE shacache.entry
            SET created_at = created_at - interval '2 days', renewed_at = renewed_at - interval '2 days'
            RETURNING id, created_at)
        UPDATE shacache.entry_before_blob AS noted SET created_at = older.created_at FROM older WHERE older.id = entry_id;
        UPDATE shacache.upload SET at = at - interval '2 days';
        UPDATE shacache.withdrawal SET at = at - interval '2 days';
        UPDATE shacache.trash SET removed_at = removed_at - interval '2 days', moved_at = moved_at - interval '8 days'""")


def old(stack, key, data):
    digest = stack.upload(data)
    stack.index(key, json.dumps({"sha512": digest}))
    age(stack)
    return digest


def status(stack, digest):
    return stack.request("GET", f"/shacache/{digest}")[0]


def test_an_entry_is_hidden_then_removed_with_its_blob_and_its_bytes_are_given_back(stack):
    digest = old(stack, "old-way", b"way")
    assert {row["policy"]: row["hidden_entries"] for row in collect(stack)} == {"old": 1}
    assert stack.entries("old-way") == [] and status(stack, digest) == 200
    assert collect(stack) == []
    age(stack)
    # The grace time is over; then nothing names the blob, and it goes in the same run.
    [row] = collect(stack)
    assert (row["policy"], row["removed_entries"], row["removed_blobs"], row["removed_bytes"]) == ("old", 1, 1, 3)
    assert stack.entries("old-way") is None and status(stack, digest) == 404
    assert (stack.store / "trash" / digest).read_bytes() == b"way"
    [(before,)] = Database(stack).run("SELECT sum(bytes) FROM shacache.account_usage")
    age(stack)
    [row] = collect(stack)
    assert (row["freed_blobs"], row["freed_bytes"]) == (1, 3)
    assert not list((stack.store / "trash").iterdir())
    [(after,)] = Database(stack).run("SELECT sum(bytes) FROM shacache.account_usage")
    assert int(before) - int(after) == 3
    check_counts(stack)


def test_what_is_hidden_is_shown_by_its_next_upload_or_by_an_operator(stack):
    digest = old(stack, "old-again", b"again")
    pair = json.dumps({"sha512": digest})
    collect(stack)
    assert stack.entries("old-again") == []
    stack.index("old-again", pair)
    assert stack.entries("old-again") == [[pair, ""]]
    for words in (["--key", "old-again"], ["--policy", "old"]):
        age(stack)
        collect(stack)
        assert stack.entries("old-again") == []
        assert stack.admin("collect", "restore", *words).stderr == "entries that are visible again: 1\n"
        assert stack.entries("old-again") == [[pair, ""]]
        collect(stack)
        assert stack.entries("old-again") == [[pair, ""]]
    done = stack.admin("collect", "restore", "--key", "old-again", check=False)
    assert done.returncode == 1 and "no retention policy hides the key old-again" in done.stderr


def test_a_removed_blob_is_restored_from_trash(stack):
    digest = stack.upload(b"restored")
    age(stack)
    collect(stack)
    assert status(stack, digest) == 404
    stack.admin("collect", "restore", "--blob", digest)
    assert stack.request("GET", f"/shacache/{digest}")[2] == b"restored"
    collect(stack)
    assert status(stack, digest) == 200
    check_counts(stack)


def test_trash_is_emptied_at_once_when_asked(stack):
    digest = stack.upload(b"at once")
    age(stack)
    collect(stack, "--empty-trash")
    assert status(stack, digest) == 404 and not list((stack.store / "trash").iterdir())


def test_a_second_collection_says_who_runs_one_and_ends(stack):
    # Fails without tryLock in Collection.init.
    for number in range(20):
        stack.upload(b"slow %d" % number)
    age(stack)
    words = ["collect", "apply", "--rate", "1", "--host", "first", "--config", stack.state / "shacache.toml"]
    first = subprocess.Popen([REPOSITORY / ".build/release/shacache-admin", *words], stdout=subprocess.DEVNULL)
    try:
        count = "SELECT count(*) FROM shacache.collection WHERE host = 'first'"
        eventually(lambda: Database(stack).run(count) == [("1",)])
        done = stack.admin("collect", "apply", check=False)
        assert done.returncode == 1
        assert "there is a collection by" in done.stderr and "on first, since" in done.stderr
    finally:
        first.kill()
        first.wait()
    eventually(lambda: stack.admin("collect", "apply", check=False).returncode == 0)
    check_counts(stack)


def test_a_policy_that_is_gone_from_the_configuration_removes_nothing_more(stack):
    old(stack, "old-left", b"left")
    collect(stack)
    age(stack)
    stack.configure(AT_ONCE.replace('"old"', '"other"').replace('"old-"', '"other-"'))
    done = stack.admin("collect", "apply")
    assert "the policy old is not configured any more" in done.stderr
    assert Database(stack).run("SELECT count(*) FROM shacache.entry WHERE key = 'old-left'") == [("1",)]
    stack.configure(AT_ONCE)
    collect(stack)
    assert Database(stack).run("SELECT count(*) FROM shacache.entry WHERE key = 'old-left'") == [("0",)]


def test_metrics_reports_and_status_know_what_went(stack):
    collect(stack)
    text = stack.request("GET", "/metrics")[2].decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    [(removed, freed)] = Database(stack).run(
        "SELECT sum(removed_blobs), sum(freed_blobs) FROM shacache.collection_sum")
    assert float(lines['shacache_collected_blobs_total{step="removed"}']) == float(removed) > 0
    assert float(lines['shacache_collected_blobs_total{step="freed"}']) == float(freed) > 0
    assert float(lines["shacache_trash_files"]) == len(list((stack.store / "trash").iterdir()))
    assert 'shacache_last_run_timestamp_seconds{task="collect"}' in lines
    report = json.loads(stack.admin("report", "collections", "--json").stdout)
    assert {row["policy"] for row in report} >= {"old", "unnamed"}
    assert json.loads(stack.admin("collect", "status", "--json").stdout)[0]["problem"] is None


def test_a_database_that_goes_away_ends_a_collection_which_the_next_goes_on_with(stack):
    for number in range(300):
        stack.upload(b"away %d" % number)
    age(stack)
    words = ["collect", "apply", "--rate", "100", "--config", stack.state / "shacache.toml"]
    first = subprocess.Popen(
        [REPOSITORY / ".build/release/shacache-admin", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    marked = "SELECT count(*) > 0 FROM shacache.blob WHERE deleting_at IS NOT NULL"
    eventually(lambda: Database(stack).run(marked) == [("t",)])
    with stopped_database(stack):
        said = first.communicate(timeout=30)[1]
    assert first.returncode == 1 and said.startswith("shacache-admin: "), said
    wait_for_database(stack)
    collect(stack)
    assert Database(stack).run("SELECT count(*) FROM shacache.blob WHERE deleting_at IS NOT NULL") == [("0",)]
    check_counts(stack)


def test_a_full_disk_ends_no_freeing(on_disk):
    # Fails when BlobRepository.moveRemoved counts nothing as moved where LocalBlobs.moveToTrash had no room for all names.
    stack, _ = on_disk
    stack.configure(AT_ONCE)
    stays = stack.upload(b"stays")
    stack.index("stays", json.dumps({"sha512": stays}))
    digests = [stack.upload(os.urandom(5000)) for _ in range(200)]
    age(stack)
    with open(stack.store / "ballast", "wb", buffering=0) as ballast, pytest.raises(OSError) as full:
        while True:
            ballast.write(bytes(4096))
    assert full.value.errno == errno.ENOSPC
    done = stack.admin("collect", "apply", check=False)
    assert done.returncode == 1
    assert done.stderr == "shacache-admin: not all was done: move a blob to trash: no space left on device\n"
    assert 0 < len(os.listdir(stack.store / "trash")) < 200
    # What lies there makes room for the others.
    eventually(lambda: stack.admin("collect", "apply", "--empty-trash", check=False).returncode == 0)
    assert not os.listdir(stack.store / "trash")
    assert {status(stack, digest) for digest in digests} == {404} and status(stack, stays) == 200
    check_counts(stack)


def run_collections(start, count, between, pause):
    """Random clients, and this many collections; workers and collector are killed meanwhile."""
    stack = start(WORKERS="2")
    stack.configure(SETTINGS)
    for number in range(3):
        stack.index("stays", json.dumps({"sha512": stack.upload(b"stays %d" % number)}))
    history, generator = History(stack), random.Random(2)
    with CollectedLoad(stack, history, pause, uploaders=4, readers=2) as load, Collector(stack) as collector:
        load.wait_for(20, UPLOAD)
        while collector.count() < count:
            time.sleep(generator.random() * between)
            victim = generator.choice(["collector", "collector", "worker-1", "worker-2"])
            if victim == "collector":
                collector.kill()
            else:
                processes.send(stack, victim)
        # On a busy machine, kills may have left none of them the time for each step.
        eventually(lambda: min(sums_of(stack)) > 0, seconds=60)
    checked = check_history(stack, history)
    # What a kill has left under way is done by the next.
    eventually(lambda: stack.admin("collect", "apply", check=False).returncode == 0)
    check_counts(stack)
    return checked, sums_of(stack), history


def sums_of(stack):
    """Of all collections: hidden and removed entries, removed and freed blobs."""
    ((*sums,),) = Database(stack).run("""
        SELECT coalesce(sum(hidden_entries), 0), coalesce(sum(removed_entries), 0), coalesce(sum(removed_blobs), 0),
            coalesce(sum(freed_blobs), 0)
        FROM shacache.collection_sum""")
    return [int(number) for number in sums]


def test_nothing_acknowledged_is_lost_by_collections_beside_uploads_and_kills(start):
    # Fails when what is uploaded or named isn't touched (record_blobs, record_entries), or without the second look under
    # the locks (BlobRepository.remove).
    checked, sums, history = run_collections(start, 30, 2, 0.05)
    assert checked > 10, (checked, sums)
    # 403 to those who upload what an operator has withdrawn, 503 to those whose worker was killed.
    assert set(history.statuses(UPLOAD, LIST)) <= {201, 403, 503, None}, history.failures(UPLOAD, LIST)
    assert set(history.statuses(DOWNLOAD, LOOK_UP)) <= {200, 404, 503, None}, history.failures(DOWNLOAD, LOOK_UP)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_by_ten_thousand_collections(start):
    checked, sums, history = run_collections(start, 10_000, 10, 0.4)
    print(f"{checked} listed blobs read back; hidden, removed entries, removed, freed blobs: {sums}; {history.statuses(UPLOAD, LIST)}")
    assert checked > 10, (checked, sums)


@pytest.mark.parametrize("statement", [
    "DELETE FROM shacache.entry", "DELETE FROM shacache.blob", "DELETE FROM shacache.trash",
    "UPDATE shacache.blob SET deleting_at = now()", "INSERT INTO shacache.trash SELECT FROM shacache.blob"])
@pytest.mark.parametrize("role", ["shacache_worker", "shacache_admin"])
def test_only_the_collectors_role_removes(stack, role, statement):
    with pytest.raises(DatabaseError, match="permission denied"):
        Database(stack).run(statement, role=role)
