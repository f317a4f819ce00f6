"""What the servers tell systemd (sd_notify(3)), at a socket such as systemd has."""

import os
import signal
from contextlib import contextmanager

import processes
import pytest
from notices import Notices
from stack import Stack, eventually

SERVERS = "worker-1", "worker-2", "page", "fetcher"


@contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def notices():
    with Notices() as notices:
        yield notices


@pytest.fixture(scope="module")
def stack(tmp_path_factory, notices):
    with Stack(
        tmp_path_factory.mktemp("watchdog"), NOTIFY_SOCKET=notices.name, WATCHDOG_USEC="200000",
        # Where nobody listens: for the fetcher to be there.
        UPSTREAM="http://127.0.0.1:9/shacache",
    ) as stack:
        yield stack


def test_each_server_says_that_it_is_ready_and_then_that_it_gets_on(stack, notices):
    pids = [stack.pid(name) for name in SERVERS]
    heard = notices.until(*((pid, "READY=1") for pid in pids), *((pid, "WATCHDOG=1") for pid in pids))
    for pid in pids:
        assert [text for sender, text in heard if sender == pid][0] == "READY=1"


# Fails when another process, or nothing, has to do with it.
@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_does_nothing_is_silent(stack, notices, name):
    pid, other = stack.pid(name), stack.pid("page" if name != "page" else "worker-1")
    with stopped(pid):
        # What it said before may still be on its way.
        notices.skip(10)
        heard = [notices.next() for _ in range(30)]
        assert (other, "WATCHDOG=1") in heard
        assert pid not in {sender for sender, _ in heard}
    notices.until((pid, "WATCHDOG=1"))


def test_a_worker_says_that_it_ends_and_the_next_one_that_it_is_ready(stack, notices):
    # From then on it is the time to end that counts.
    pid = stack.pid("worker-1")
    processes.send(stack, "worker-1", signal.SIGTERM)
    notices.until((pid, "STOPPING=1"))
    notices.until((eventually(lambda: (new := stack.pid("worker-1")) != pid and new), "READY=1"))
