"""Ended in order nothing is dropped; killed, everything is back at once, or after the next start."""

import os
import signal
import socket
import time

import processes
import pytest
from halfway import LARGE, SMALL, HalfUpload
from history import DOWNLOAD, LIST, LOOK_UP, UPLOAD, History, Load
from stack import Stack, eventually
from wire import Wire


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    """A cache with one worker."""
    with Stack(tmp_path_factory.mktemp("drain"), WORKERS="1") as stack:
        yield stack


def takes_no_more(stack):
    try:
        Wire(stack).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_worker_that_is_asked_to_end_under_load_fails_no_request(workers, start):
    # Fails without ThreadPool.finish, when Acceptor closes what it has accepted, or when the runner makes the sockets anew
    # for each worker: with one worker requests wait in their queue.
    stack = start(WORKERS=workers)
    history = History(stack)
    with Load(stack, history) as load:
        for turn in range(4):
            load.wait_for(50, UPLOAD)
            processes.send(stack, f"worker-{turn % int(workers) + 1}", signal.SIGTERM)
        load.wait_for(50, UPLOAD)
    assert history.check() == set()
    assert not history.failures(UPLOAD, LIST, DOWNLOAD)
    assert set(history.statuses(LOOK_UP)) <= {200, 404}, history.failures(LOOK_UP)
    assert "was killed" not in stack.output.read_text()


def test_the_runner_ends_when_all_that_is_in_flight_is_answered(start):
    # Fails when Supervisor.stop ends workers before nginx, or Nginx.end_steps begins with SIGTERM; pid files and env
    # stay without Service.forget and the `finally` in serve.py.
    stack = start(WORKERS="2")
    body = os.urandom(30_000_000)
    digest = stack.request("POST", "/shacache", body, context=stack.tls())[2].decode()
    uploads = [HalfUpload(stack, SMALL), HalfUpload(stack, LARGE), HalfUpload(stack, LARGE, chunked=True)]
    download = Wire(stack)
    download.send(f"GET /shacache/{digest} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    # Each of them has come as far as nginx.
    eventually(lambda: len(list(stack.spool.iterdir())) == len(uploads))
    assert download.socket.recv(1, socket.MSG_PEEK)
    stack.runner.send_signal(signal.SIGTERM)
    eventually(lambda: takes_no_more(stack))
    assert stack.runner.poll() is None
    for upload in uploads:
        answer = upload.finish()
        assert (answer.status, answer.body) == (201, upload.digest.encode())
    assert stack.runner.poll() is None
    assert download.answer().body == body
    download.close()
    assert stack.runner.wait(20) == 0
    assert processes.of(stack) == []
    assert not (stack.state / "env").exists()
    assert not list((stack.state / "run").glob("*.pid"))
    stack.start()
    for upload in uploads:
        assert stack.request("GET", f"/shacache/{upload.digest}")[2] == upload.body


def test_who_asks_twice_need_not_wait_for_slow_clients(start):
    # Fails without `hurried` in Supervisor.stop.
    stack = start(WORKERS="1")
    upload = HalfUpload(stack, LARGE)
    eventually(lambda: list(stack.spool.iterdir()))
    stack.runner.send_signal(signal.SIGTERM)
    eventually(lambda: takes_no_more(stack))
    stack.runner.send_signal(signal.SIGINT)
    assert stack.runner.wait(20) == 0
    assert processes.of(stack) == []
    upload.cut()


def test_connections_that_a_browser_opens_ahead_hold_up_no_end(start):
    # Fails without client_header_timeout: nginx waits a minute for the requests that they never bring.
    stack = start(WORKERS="1")
    with Wire(stack), Wire(stack, stack.tls()):
        stack.runner.send_signal(signal.SIGTERM)
        assert stack.runner.wait(45) == 0


def test_a_run_that_is_killed_under_load_is_recovered_by_the_next_one(start):
    # Fails when a start makes anew what is there, or stumbles over what is still ending.
    stack = start(WORKERS="2")
    history = History(stack)
    with Load(stack, history) as load:
        load.wait_for(100, UPLOAD)
        stack.runner.kill()
        stack.runner.wait()
        stack.start()
        load.wait_for(100, UPLOAD)
    history.check()
    assert set(history.statuses()) <= {200, 201, 404, 503, None}, history.failures()


def test_what_a_killed_run_left_running_is_ended_by_the_next_one(start):
    # Fails without end_leftovers: nginx waits for the rest of this upload.
    stack = start(WORKERS="1")
    upload = HalfUpload(stack, LARGE)
    eventually(lambda: list(stack.spool.iterdir()))
    old = processes.of(stack)
    stack.runner.kill()
    stack.runner.wait()
    stack.start()
    assert not [pid for pid in old if processes.is_alive(pid)]
    eventually(lambda: not list(stack.spool.iterdir()))
    upload.cut()


def test_a_first_start_that_is_killed_at_any_moment_is_completed_by_the_next_one(tmp_path):
    # Fails when something is made in place rather than beside it: make_cluster, make_directory, write_file.
    stack = Stack(tmp_path / "stack", WORKERS="1")
    for seconds in (0.2, 0.6, 1.0, 1.4, 0.4, 0.3):
        stack.launch()
        time.sleep(seconds)  # the moment is what this is about
        stack.runner.kill()
        stack.runner.wait()
    with stack:
        assert stack.request("POST", "/shacache", b"after all", context=stack.tls())[0] == 201
    assert stack.stop() == 0
    assert processes.of(stack) == []


@pytest.mark.quiet
@pytest.mark.parametrize("name, program", [("worker-1", "shacached"), ("nginx", "nginx"), ("postgres", "postgres")])
def test_a_service_that_is_killed_is_back_within_a_second(name, program, lone):
    # Fails without Supervisor.revive, and without Nginx.make_room: the workers of a killed nginx keep its ports. Three
    # seconds, since whoever runs this may be busy.
    before = set(processes.named(lone, program))
    begun = time.monotonic()
    pid = processes.send(lone, name)
    eventually(lambda: pid in processes.named(lone, program) and not before & set(processes.named(lone, program)), 3)
    eventually(lambda: processes.is_live(lone) and lone.request("GET", "/shadir/make-run:round-trip")[0] == 200, 3)
    seconds = time.monotonic() - begun
    print(f"{name} was back after {seconds:.2f} s")
    assert seconds < 3
    assert lone.request("POST", "/shacache", os.urandom(1000), context=lone.tls())[0] == 201
