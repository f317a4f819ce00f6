"""Uploads that a worker stores together: what happens to one is no matter of the others."""

import hashlib
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager

import processes
import pytest
from history import check_store
from stack import Database, Stack, eventually
from tracing import Trace


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    """A cache with one worker that has threads for a group."""
    with Stack(tmp_path_factory.mktemp("groups"), WORKERS="1") as stack:
        stack.configure("[worker]\nupload-threads = 12\n")
        yield stack


@pytest.fixture
def single(tmp_path):
    """A cache with one thread for uploads, which has prepared its statements."""
    with Stack(tmp_path / "stack", WORKERS="1") as stack:
        stack.configure("[worker]\nupload-threads = 1\n")
        yield stack


def name(body):
    return hashlib.sha512(body).hexdigest()


def post(stack, body):
    return stack.request("POST", "/shacache", body, context=stack.tls())[0]


def waiting(stack, condition="true"):
    [(count,)] = Database(stack).run(
        f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'shacache_worker' AND wait_event_type = 'Lock' AND {condition}",
        role="postgres")
    return int(count)


@contextmanager
def held(stack):
    """Nothing is recorded until the function that this yields is called: groups under way wait, and others gather."""
    gate = subprocess.Popen(
        ["psql", "-Xq", "-d", stack.env["DATABASE_URL"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(line):
        gate.stdin.write(f"{line}\n\\echo done\n")
        gate.stdin.flush()
        assert gate.stdout.readline() == "done\n"

    try:
        say("BEGIN; LOCK TABLE shacache.upload IN EXCLUSIVE MODE;")
        yield lambda: say("COMMIT;")
    finally:
        gate.stdin.close()
        gate.wait(10)


# Fails without the deadline in PublishedGroup.synchronize, or when the leader synchronises the directories itself; where
# the slow one goes by itself, without `groupTimeout`.
@pytest.mark.parametrize("gathered", [True, False])
def test_a_directory_that_is_slow_holds_up_no_other_upload(gathered, lone, tmp_path):
    worker = processes.fresh_worker(lone)
    slow = os.urandom(1000)
    shelf = lone.blob_file(name(slow)).parent
    others = [body for body in (os.urandom(1000) for _ in range(30)) if name(body)[:2] != shelf.name][:9]
    assert post(lone, others[0]) == 201
    trace = Trace([worker], tmp_path / "trace", "trace=fsync", "inject=fsync:delay_enter=4000000", f"--trace-path={shelf}")
    with trace, ThreadPoolExecutor(len(others) + 1) as threads:
        if gathered:
            with held(lone) as release:
                uploads = {threads.submit(post, lone, others[0]): others[0]}
                eventually(lambda: waiting(lone) >= 1)
                uploads |= {threads.submit(post, lone, body): body for body in [*others[1:4], slow, *others[4:]]}
                release()
        else:
            uploads = {threads.submit(post, lone, slow): slow}
            eventually(lambda: lone.blob_file(name(slow)).exists())
            uploads |= {threads.submit(post, lone, body): body for body in others}
        answered = [(uploads[upload], upload.result()) for upload in as_completed(uploads)]
    assert [status for _, status in answered] == [201] * len(answered)
    assert answered[-1][0] == slow
    assert check_store(lone) == set()


# Fails when a step comes sooner or later than RELIABILITY's order: the row before the file, the answer before the COMMIT.
@pytest.mark.parametrize("step", ["links a file", "makes a name durable", "has sent the rows"])
def test_a_worker_that_is_killed_in_a_group_loses_nothing_that_was_acknowledged(step, lone, tmp_path):
    worker = processes.fresh_worker(lone)
    bodies = [os.urandom(1000) for _ in range(12)]
    file = lone.blob_file(name(bodies[-1]))
    faults = {"links a file": ["inject=linkat:signal=KILL", f"--trace-path={file}"],
              "makes a name durable": ["inject=fsync:signal=KILL", f"--trace-path={file.parent}"]}
    with ThreadPoolExecutor(len(bodies)) as threads, held(lone) as release, ExitStack() as traces:
        if step in faults:
            traces.enter_context(Trace([worker], tmp_path / "trace", *faults[step]))
        uploads = [threads.submit(post, lone, body) for body in bodies]
        if step not in faults:
            eventually(lambda: all(lone.blob_file(name(body)).exists() for body in bodies) and waiting(lone) >= 2)
            os.kill(worker, signal.SIGKILL)
            end_waiting(lone)
        eventually(lambda: not processes.is_alive(worker))
        release()
        statuses = [upload.result() for upload in uploads]
    assert set(statuses) <= {201, 503} and 503 in statuses
    assert check_store(lone) <= {name(body) for body in bodies}
    for body, status in zip(bodies, statuses):
        if status == 201:
            assert lone.request("GET", f"/shacache/{name(body)}")[2] == body
            assert Database(lone).run(f"SELECT FROM shacache.blob WHERE sha512 = '\\x{name(body)}'")
    eventually(lambda: lone.request("GET", "/-/ready")[0] == 200)
    assert {post(lone, body) for body in bodies} == {201}
    assert check_store(lone) == set()


def end_waiting(stack):
    """What they were sent is never done."""
    Database(stack).run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shacache_worker' AND wait_event_type = 'Lock'",
        role="postgres")
    eventually(lambda: waiting(stack) == 0)


# Fails without hideFile in BlobRepository.submit: with its session, an upload loses its locks, and goes on to link its file.
@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 403), (signal.SIGKILL, 503)])
def test_a_link_that_comes_late_shows_no_blob_that_was_withdrawn_meanwhile(number, status, single, tmp_path):
    body = os.urandom(1000)
    file = single.blob_file(name(body))
    worker = processes.fresh_worker(single)
    assert post(single, body) == 201
    faults = "trace=linkat", "inject=linkat:delay_enter=60000000", f"--trace-path={file}"
    with ThreadPoolExecutor(1) as threads:
        with Trace([worker], tmp_path / "trace", *faults):
            upload = threads.submit(post, single, body)
            [(session,)] = eventually(lambda: sessions_in_a_transaction(single))
            os.kill(int(session), number)
            eventually(lambda: not processes.is_alive(int(session)))
            eventually(
                lambda: single.admin("blob", "withdraw", name(body), "--reason", "a mistake", check=False).returncode == 0)
            assert not upload.done() and not file.exists()
        assert upload.result() == status
    assert not file.exists()
    assert check_store(single) == set()


def sessions_in_a_transaction(stack):
    return Database(stack).run(
        "SELECT pid FROM pg_stat_activity WHERE usename = 'shacache_worker' AND state = 'idle in transaction'", role="postgres")
