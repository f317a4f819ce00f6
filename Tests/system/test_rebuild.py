"""The database is lost: what the store and its journal make of it again."""

import json
import subprocess

import processes
import pytest
from administration import listed
from history import LIST, LOOK_UP, UPLOAD, History, Load
from stack import REPOSITORY, Database, eventually
from tracing import Trace, position
from uploader import Uploader

OWN = ("--role", "blobs", "--role", "entries", "--role", "withdraw")


class Server:
    """The cluster, whatever databases it has."""

    def __init__(self, stack):
        self._words = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", stack.state / "run/postgresql", "-U", "postgres"]

    def run(self, sql, database="postgres"):
        done = subprocess.run([*self._words, "-d", database], input=sql, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n").split("\n") if done.stdout.strip() else []

    def lose_database(self):
        """At once, under whoever uses it; a copy tells the test what it was."""
        self.run("ALTER DATABASE shacache ALLOW_CONNECTIONS false")
        self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shacache'")
        eventually(lambda: not self.run("SELECT 1 FROM pg_stat_activity WHERE datname = 'shacache'"))
        self.run("CREATE DATABASE truth TEMPLATE shacache")
        self.run("ALTER DATABASE truth ALLOW_CONNECTIONS true")
        self.run("DROP DATABASE shacache")

    def lists(self):
        """What stood under each key when the database was lost: visible pairs in order, with their number."""
        rows = self.run(
            "SELECT key, coalesce(json_agg(json_build_array(id, metadata, signature) ORDER BY id)"
            " FILTER (WHERE withdrawal_id IS NULL), '[]') FROM shacache.entry GROUP BY key", "truth")
        return {key: json.loads(entries) for key, _, entries in (row.partition("|") for row in rows)}


def make_database(stack):
    """As operate.md says."""
    Server(stack).run("CREATE DATABASE shacache OWNER shacache_owner")
    stack.admin("migrate", "--directory", REPOSITORY / "sql")


def rebuild(stack):
    return json.loads(stack.admin("rebuild", "--json").stdout)


def get(stack, key):
    return stack.request("GET", f"/shadir/{key}")[::2]


def test_a_database_that_is_dropped_under_load_is_made_again_with_the_same_answers(start, tmp_path):
    # Fails without the notes of Entries.hide and Withdrawals.clear.
    stack = start(WORKERS="2")
    still = prepare_lists(stack, tmp_path)
    before = {key: get(stack, key) for key in still}
    assert [status for status, _ in before.values()] == [200] * len(still)
    history, server = History(stack), Server(stack)
    with Load(stack, history) as load:
        load.wait_for(300, UPLOAD)
        load.wait_for(100, LIST)
        server.lose_database()
        eventually(lambda: history.statuses(UPLOAD, LIST)[503] > 4)
    truth = server.lists()

    make_database(stack)
    summary = rebuild(stack)
    assert not summary["unknown_accounts"] and not summary["renumbered_entries"] and not summary["empty_withdrawals"]
    assert not any(file["places"] for file in summary["damaged"])
    eventually(lambda: stack.request("GET", "/-/ready")[0] == 200)
    for key, answer in before.items():
        assert get(stack, key) == answer, key
    acknowledged = {(event.name, event.pair) for event in history.of(LIST) if event.status == 201}
    assert len(acknowledged) > 100
    for key, entries in truth.items():
        status, body = get(stack, key)
        assert status == 200
        found, kept = [tuple(pair) for pair in json.loads(body)], [(data, signed) for _, data, signed in entries]
        # What was committed and not acknowledged may be lacking, as its worker lost its session; nothing else differs.
        assert [pair for pair in kept if pair in found] == found, key
        assert not [pair for pair in kept if pair not in found and (key, pair) in acknowledged], key
        # Those that were seen before stand there in the same order.
        for event in history.of(LOOK_UP):
            if event.name == key and event.status == 200:
                seen = set(event.pairs)
                assert [pair for pair in found if pair in seen] == [pair for pair in event.pairs if pair in found]
    for digest in {event.name for event in history.of(UPLOAD) if event.status == 201}:
        assert stack.request("GET", f"/shacache/{digest}")[0] == 200
    checked = stack.admin("check", check=False)
    assert checked.returncode == 0, checked

    go_on(stack, tmp_path, truth)


def prepare_lists(stack, directory):
    """Keys that nobody changes meanwhile: with entries that are withdrawn, by whom it may be, and shown again."""
    one, other = Uploader(stack, directory, *OWN), Uploader(stack, directory, *OWN)
    keys = [f"still-{number}" for number in range(12)]
    for number, key in enumerate(keys):
        for nth in range(3):
            uploader = (one, other)[(number + nth) % 2]
            assert uploader.put(key, text=f"\u00e9\"\\ {nth}").status == 201
        if number % 3 == 1:
            assert (one, other)[number % 2].withdraw(f"/shadir/{key}").status == 204
    stack.admin("withdrawal", "lift", str(listed(stack, "withdrawal", "list")[-1]["number"]))
    numbers = [row["number"] for row in listed(stack, "entry", "list", keys[2])]
    stack.admin("entry", "withdraw", *map(str, numbers), "--reason", "all of them")
    return keys


def go_on(stack, directory, truth):
    """Uploads, once the operator has done what rebuild says; numbers go on where they were."""
    assert stack.request("POST", "/shacache", b"x", context=stack.tls())[0] == 403
    stack.admin("certificate", "issue", "demo", "--out", directory)
    stack.admin("account", "enable", "demo")
    tls = stack.tls(directory / "demo.crt", directory / "demo.key")
    body = json.dumps([json.dumps({"sha512": "c" * 128, "text": "new"}), ""])
    assert stack.request("PUT", "/shadir/still-0", body, context=tls)[0] == 201
    assert json.loads(get(stack, "still-0")[1])[-1][0].endswith('"new"}')
    highest = max(entry[0] for entries in truth.values() for entry in entries)
    assert int(Database(stack).run("SELECT max(id) FROM shacache.entry")[0][0]) > highest


def test_an_entry_is_answered_when_row_and_journal_have_reached_the_disk_in_this_order(start, tmp_path):
    # Fails when Journal.append comes before the COMMIT (Entries.storeGroup), and without fdatasync (JournalFile.append).
    stack = start(WORKERS="1")
    worker = processes.fresh_worker(stack)
    body = json.dumps([json.dumps({"sha512": "c" * 128}), ""])
    with Trace([worker], tmp_path / "trace") as trace:
        assert stack.request("PUT", "/shadir/key", body, context=stack.tls())[0] == 201
    calls = trace.thread_that("write", "201 Created")
    order = [
        ("sendto", "store_entries", 1), ("pwrite64", "/journal/", 0), ("fdatasync", "/journal/", 0),
        ("fsync", "/journal>", 0), ("write", "201 Created", 0)]
    places = [position(calls, *call) for call in order]
    assert None not in places and places == sorted(places), list(zip(order, places))


@pytest.mark.parametrize("call, error, status", [("pwrite64", "ENOSPC", 507), ("fdatasync", "EIO", 500)])
def test_what_the_journal_does_not_take_is_not_acknowledged(call, error, status, start, tmp_path):
    # Fails when Entries.storeGroup passes over NotJournaled, or orders the end of its members before Journal.append.
    stack = start(WORKERS="1")
    stack.index("key", json.dumps({"sha512": "c" * 128, "n": 0}))
    worker = stack.pid("worker-1")
    put = lambda n: stack.request(  # noqa: E731
        "PUT", "/shadir/key", json.dumps([json.dumps({"sha512": "c" * 128, "n": n}), ""]), context=stack.tls())
    with Trace([worker], tmp_path / "trace", f"trace={call}", f"inject={call}:error={error}"):
        refused = put(1)
        assert (refused[0], refused[2]) == (
            status, b"what the store must remember of this could not be written: tell its operator, and send it again later\n")
    if call == "fdatasync":
        # Linux may have dropped what was not written: as of an fsync that failed.
        assert put(1)[0] == 503
        processes.fresh_worker(stack)
    assert put(1)[0] == 201
    before = get(stack, "key")
    assert len(json.loads(before[1])) == 2
    Server(stack).lose_database()
    make_database(stack)
    rebuild(stack)
    assert get(stack, "key") == before


def test_rebuild_refuses_what_it_was_not_made_for(stack):
    # Fails without Rebuild.requireEmpty.
    refused = stack.admin("rebuild", check=False)
    assert refused.returncode == 1 and "the database isn't empty" in refused.stderr, refused


def test_the_upkeep_compresses_what_is_closed_and_the_page_of_a_journal_is_never_served(start):
    # Fails without the lock in JournalFile.init, or Journal.compressClosed.
    stack = start(WORKERS="1")
    stack.index("key", json.dumps({"sha512": "c" * 128}))
    processes.fresh_worker(stack)
    stack.index("key", json.dumps({"sha512": "c" * 128, "n": 2}))
    done = json.loads(stack.admin("journal", "--json").stdout)
    assert done["added"] == {"entries": 0, "withdrawals": 0, "accounts": 0, "signers": 0}
    files = sorted((stack.store / "journal").iterdir())
    assert done["compressed_files"] >= 1 and {file.suffix for file in files} == {".gz", ".log"}, files
    assert {file.stat().st_uid for file in files} == {stack.store.stat().st_uid}
    for file in files:
        assert stack.request("GET", f"/journal/{file.name}")[0] == 404
        assert stack.request("GET", f"/shacache/../journal/{file.name}")[0] in (400, 404)
