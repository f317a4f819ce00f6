"""PostgreSQL stopped, restarted, killed, or lost in the middle of something."""

import hashlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import processes
import pytest
from history import LIST, UPLOAD, Client, History, Load, check_store
from stack import Database, Stack, eventually
from tracing import Trace, calls_of_an_upload, injection, position


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A cache with two workers."""
    with Stack(tmp_path_factory.mktemp("database"), WORKERS="2") as stack:
        yield stack


@contextmanager
def stopped_database(stack):
    """PostgreSQL is stopped while the block runs; so is the runner, which would start it again."""
    stack.runner.send_signal(signal.SIGSTOP)
    try:
        postmaster = stack.pid("postgres")
        os.kill(postmaster, signal.SIGINT)
        eventually(lambda: not processes.is_alive(postmaster))
        yield
    finally:
        stack.runner.send_signal(signal.SIGCONT)


def wait_for_database(stack):
    eventually(lambda: stack.request("GET", "/shadir/make-run:round-trip")[0] == 200)


def timed(action):
    begun = time.monotonic()
    return action(), time.monotonic() - begun


def test_without_the_database_downloads_go_on_and_everything_works_again_when_it_is_back(two):
    # Fails when a download asks the database (LocalBlobs.presence), without Retry-After in RequestFailure.response, without a
    # new session in Connection.session, or without the end of Session.retryTimeout.
    body, late = os.urandom(5000), os.urandom(1000)
    digest = hashlib.sha512(body).hexdigest()
    assert two.request("POST", "/shacache", body, context=two.tls())[0] == 201
    workers = [two.pid("worker-1"), two.pid("worker-2")]
    with stopped_database(two):
        (status, headers, _), seconds = timed(lambda: two.request("GET", "/shadir/make-run:round-trip"))
        assert (status, headers["Retry-After"]) == (503, "10") and seconds < 2
        with ThreadPoolExecutor() as clients:
            bodies = (late, bytes(1_200_000))
            uploads = clients.map(
                lambda content: timed(lambda: two.request("POST", "/shacache", content, context=two.tls())), bodies)
            for (status, headers, line), seconds in uploads:
                assert (status, headers["Retry-After"]) == (503, "10") and line.count(b"\n") == 1
                assert 4 < seconds < 15, "an upload waits for a while, and not for ever"
        for _ in range(20):
            (status, _, found), seconds = timed(lambda: two.request("GET", f"/shacache/{digest}"))
            assert (status, found) == (200, body) and seconds < 2
        assert two.request("GET", "/-/live")[0] == 200
        assert two.request("GET", "/-/ready")[0] == 503
    wait_for_database(two)
    assert two.request("POST", "/shacache", late, context=two.tls())[0] == 201
    assert two.request("GET", "/-/ready")[0] == 200
    assert [two.pid("worker-1"), two.pid("worker-2")] == workers
    check_store(two)


@contextmanager
def hanging_database(stack):
    """PostgreSQL takes connections and bytes while the block runs, and says nothing."""
    postmaster = stack.pid("postgres")
    stopped = [postmaster, *processes.children(postmaster)]
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def test_while_the_database_hangs_downloads_go_on_and_nothing_waits_for_ever(two):
    # Fails without DatabaseBulkhead in Shacached.serve (all threads wait for the database then), or without the deadline in
    # Connection.lastResult.
    body = os.urandom(5000)
    digest = two.upload(body)

    def look_up(number):
        (status, headers, _), seconds = timed(lambda: two.request("GET", f"/shadir/hanging-{number}"))
        return status, headers["Retry-After"], seconds

    def download():
        (status, _, found), seconds = timed(lambda: two.request("GET", f"/shacache/{digest}"))
        assert (status, found) == (200, body)
        return seconds

    with ThreadPoolExecutor(64) as clients:
        list(clients.map(look_up, range(200)))  # every thread has a session
        with hanging_database(two):
            waiting = [clients.submit(look_up, number) for number in range(60)]
            time.sleep(3)
            # Those that have given up gave way; what comes now does not even wait.
            assert sum(lookup.done() for lookup in waiting) >= 40
            assert max(download() for _ in range(20)) < 1
            status, retry_after, seconds = look_up(60)
            assert (status, retry_after) == (503, "10") and seconds < 1
            upload, seconds = timed(lambda: two.request("POST", "/shacache", body, context=two.tls()))
            assert upload[0] == 503 and seconds < 30
            assert download() < 1
            assert {lookup.result()[:2] for lookup in waiting} == {(503, "10")}
            assert max(lookup.result()[2] for lookup in waiting) < 30
    wait_for_database(two)
    assert two.request("POST", "/shacache", body, context=two.tls())[0] == 201
    assert look_up(61)[0] == 404


def test_an_upload_that_meets_a_restart_of_the_database_waits_for_it(two):
    # Fails without Session.retryingWhileUnavailable.
    answers = []
    client = Client(two, History(two), two.tls())
    with stopped_database(two):
        upload = threading.Thread(target=lambda: answers.append(client.upload(os.urandom(1000))))
        upload.start()
        upload.join(1)
        assert upload.is_alive(), answers
    upload.join()
    client.close()
    assert [event.status for event in answers] == [201]


UNKNOWN = (503, "the database went away while it stored this, send it again")


def check_that_only_commits_failed(history):
    """All that was acknowledged is there, and what failed was on its way to the disk when the database went."""
    history.check()
    failures = history.failures(UPLOAD, LIST)
    assert {(status, said) for _, status, said in failures} <= {UNKNOWN}, failures


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_uploads_wait_while_the_database_restarts_under_load(number, start):
    # Fails without Session.retryingWhileUnavailable or without a new session in Connection.session. A commit whose outcome
    # nobody knows is the only reason to let an upload fail.
    stack = start(WORKERS="2")
    history = History(stack)
    with Load(stack, history) as load:
        for _ in range(3):
            load.wait_for(40, UPLOAD)
            processes.send(stack, "postgres", number)
        load.wait_for(80, UPLOAD)
    check_that_only_commits_failed(history)


def test_uploads_wait_while_sessions_are_ended_under_load(two):
    # Fails as the one above, and meets each step of an upload more often.
    history = History(two)
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shacache_worker'"
    with Load(two, history) as load:
        for _ in range(25):
            load.wait_for(15, UPLOAD)
            Database(two).run(end, role="postgres")
        load.wait_for(40, UPLOAD)
    check_that_only_commits_failed(history)


def test_a_connection_that_is_lost_after_the_commit_is_503_although_it_happened(two):
    # Fails when Connection.transaction takes a lost COMMIT for done, or for not done (`unknownOutcome`).
    database = Database(two)
    standby = "ALTER SYSTEM {} synchronous_standby_names"
    waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'shacache_worker'"
    history = History(two)
    client = Client(two, history, two.tls())
    body = os.urandom(1000)
    upload = threading.Thread(target=client.upload, args=[body])
    try:
        # A commit then waits for a standby that there is not: it has happened, and its answer has not left.
        database.run(f"{standby.format('SET')} = 'nobody'; SELECT pg_reload_conf()", role="postgres")
        eventually(lambda: database.run("SHOW synchronous_standby_names") == [("nobody",)])
        upload.start()
        eventually(lambda: database.run(f"SELECT 1 {waiting}", role="postgres"))
        database.run(f"SELECT pg_terminate_backend(pid) {waiting}", role="postgres")
        upload.join()
    finally:
        database.run(f"{standby.format('RESET')}; SELECT pg_reload_conf()", role="postgres")
    [event] = history.events
    assert (event.status, event.said) == UNKNOWN
    assert database.run(f"SELECT 1 FROM shacache.blob WHERE sha512 = '\\x{event.name}'")
    assert client.upload(body).status == 201
    client.close()
    history.check()


def test_a_session_that_the_server_ends_before_the_commit_is_tried_again_and_on_record_once(start, tmp_path):
    # Fails when Connection.transaction ignores the error of COMMIT.
    stack = start(WORKERS="1")
    calls = calls_of_an_upload(stack, tmp_path)
    held = injection(calls, position(calls, "sendto", "COMMIT", 1), "delay_enter=3s")
    database = Database(stack)
    history = History(stack)
    client = Client(stack, history, stack.tls())
    body = os.urandom(1000)
    open_session = "FROM pg_stat_activity WHERE usename = 'shacache_worker' AND wait_event = 'ClientRead'" \
        " AND state = 'idle in transaction' AND state_change < now() - interval '1 second'"
    with Trace([processes.fresh_worker(stack)], tmp_path / "held", "trace=sendto", held):
        upload = threading.Thread(target=client.upload, args=[body])
        upload.start()
        eventually(lambda: database.run(f"SELECT pg_terminate_backend(pid) {open_session}", role="postgres"))
        upload.join()
    [event] = history.events
    # The server said so in place of an answer to what is recorded: nothing of it was committed.
    assert event.status == 201
    assert database.run(f"SELECT duplicate FROM shacache.upload WHERE sha512 = '\\x{event.name}'") == [("f",)]
    client.close()
    assert history.check() == set()
