"""A primary and a standby: which of them takes what, and what happens when one of them dies."""

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import processes
import pytest
from stack import REPOSITORY, Database, Stack, eventually
from standby import Standby


@pytest.fixture
def pair(tmp_path):
    """A cache with one worker, and a standby of its database."""
    tmp_path.chmod(0o755)
    with Stack(tmp_path / "stack", WORKERS="1") as stack, Standby(stack, tmp_path) as standby:
        eventually(standby.is_streaming)
        yield stack, standby


def documented():
    """What ops/shacache.toml tells to add where there are two hosts."""
    text = (REPOSITORY / "ops/shacache.toml").read_text().replace("\n# ", " ")
    return re.search(r'target_session_attrs=primary [^"]*', text)[0]


def connect(stack, hosts, options):
    """Lets the workers and the page reach the database in another way."""
    file = stack.state / "shacache.toml"
    names = ",".join(map(str, hosts))
    text = re.sub(r'connection = ".*"', f'connection = "host={names} dbname=shacache {options}"', file.read_text())
    file.write_text(text)
    for name in "worker-1", "page":
        processes.send(stack, name, signal.SIGTERM)
    eventually(lambda: stack.request("GET", "/-/live")[0] == 200)


def ready(stack, path="/-/ready"):
    status, _, line = stack.request("GET", path)
    return status, line.decode()


def post(stack, body=None):
    status, _, line = stack.request("POST", "/shacache", body or os.urandom(1000), context=stack.tls())
    return status, line.decode()


@contextmanager
def synchronous(stack, names):
    database = Database(stack)
    change = "ALTER SYSTEM {} synchronous_standby_names {}; SELECT pg_reload_conf()"
    database.run(change.format("SET", f"= '{names}'"), role="postgres")
    try:
        yield
    finally:
        database.run(change.format("RESET", ""), role="postgres")


def test_a_dead_synchronous_standby_holds_no_backends_and_is_told_at_ready(pair):
    # Fails without the end of the statement in GivenUpSession (the sessions wait on with their locks), and without
    # Monitoring.databaseCommits (it says that it is ready).
    stack, standby = pair
    database = Database(stack)

    def waiting():
        return database.run(
            "SELECT count(*) FILTER (WHERE wait_event = 'SyncRep'),"
            " count(*) FILTER (WHERE usename = 'shacache_worker' AND state <> 'idle') FROM pg_stat_activity",
            role="postgres")[0]

    body = os.urandom(1000)
    with synchronous(stack, "standby"):
        assert post(stack, body)[0] == 201
        eventually(lambda: ready(stack)[0] == 200)
        standby.kill()
        status, line = eventually(lambda: (found := ready(stack))[0] == 503 and found)
        assert line == "the database commits nothing: it waits for a synchronous standby, or its disk hangs\n"
        begun = time.monotonic()
        assert ready(stack)[0] == 503 and time.monotonic() - begun < 6
        assert ready(stack, "/-/ready/lookups") == (200, "ready\n")
        assert stack.request("GET", "/shadir/make-run:round-trip")[0] == 200
        with ThreadPoolExecutor() as clients:
            # One of them twice: each waits for the other's lock.
            answers = list(clients.map(lambda body: post(stack, body), [body, body, os.urandom(1000)]))
        assert {status for status, _ in answers} == {503}, answers
        eventually(lambda: waiting() == ("0", "0"), seconds=5)
        assert database.run("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", role="postgres") == [("0",)]
        standby.start()
        eventually(lambda: ready(stack) == (200, "ready\n"))
        assert post(stack, body)[0] == 201


def test_a_commit_whose_wait_for_the_standby_somebody_cancels_is_no_201(pair):
    # Fails without `isWarned` in Connection.transaction: such a COMMIT succeeds, and stands on the primary alone.
    stack, _ = pair
    cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'shacache_worker'"
    body = os.urandom(1000)
    with synchronous(stack, "nobody"), ThreadPoolExecutor() as clients:
        answer = clients.submit(post, stack, body)
        eventually(lambda: Database(stack).run(cancel, role="postgres"))
        assert answer.result()[0] == 503
    assert post(stack, body)[0] == 201


def test_with_the_documented_string_all_find_the_primary_and_its_successor(pair):
    # Fails with target_session_attrs=read-write: libpq then refuses each server to the page's role, whose transactions
    # are read-only.
    stack, standby = pair
    stack.configure('[feed]\nreaders = "all"\n')
    connect(stack, [standby.host, stack.state / "run/postgresql"], documented())
    eventually(lambda: ready(stack) == (200, "ready\n"))
    numbering = stack.request("GET", "/-/feed")[1]["X-ShaCache-Feed"]
    assert post(stack)[0] == 201

    def page():
        status, _, text = stack.request("GET", "/")
        return status == 200 and "can’t be had".encode() not in text

    eventually(page)
    stack.runner.send_signal(signal.SIGSTOP)
    try:
        postmaster = stack.pid("postgres")
        for pid in [postmaster, *processes.children(postmaster)]:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not processes.is_alive(postmaster))
        assert ready(stack)[0] == 503
        standby.promote()
        assert eventually(lambda: post(stack)[0] == 201)
        eventually(lambda: ready(stack) == (200, "ready\n"))
        eventually(page)
        # The timeline in Feed.numbering: it may lack what was committed last, and give those numbers again.
        assert stack.request("GET", "/-/feed")[1]["X-ShaCache-Feed"] not in (None, numbering)
    finally:
        stack.runner.send_signal(signal.SIGCONT)


def test_a_worker_that_reaches_only_a_standby_is_not_ready_for_uploads(pair):
    # Fails without Session.readOnlyReason in Service.readiness.
    stack, standby = pair
    stack.configure('[feed]\nreaders = "all"\n')
    connect(stack, [standby.host, stack.state / "run/postgresql"], "target_session_attrs=any connect_timeout=2")
    assert eventually(lambda: ready(stack)) == (503, "the database is a standby, which takes no uploads\n")
    assert ready(stack, "/-/ready/lookups") == (200, "ready\n")
    assert stack.request("GET", "/shadir/make-run:round-trip")[0] == 200
    assert post(stack)[0] == 503
    # Feed.numbering: it doesn't know what the primary may still commit.
    assert stack.request("GET", "/-/feed")[::2] == (503, b"the database is a standby, whose numbers aren't settled\n")
