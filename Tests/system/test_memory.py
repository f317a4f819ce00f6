"""Large bodies and slow clients: a worker holds neither.

SHACACHE_TEST_UPLOAD_BYTES: how large each of the twenty uploads is, 64 MiB unless set. `pytest -s` shows the figures.
"""

import hashlib
import http.client
import multiprocessing
import os
import random
import re
import shutil
import ssl
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from statistics import median

import processes
import pytest
from stack import Stack, eventually
from tracing import Trace
from wire import Wire

pytestmark = pytest.mark.quiet

UPLOADS = 20
UPLOAD_BYTES = int(os.environ.get("SHACACHE_TEST_UPLOAD_BYTES", 64 << 20))
MOST_RESIDENT = 64 << 20  # bytes
BLOCK = 1 << 20


def most_resident(pid):
    """The most memory that a process ever had, in bytes."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) << 10


def parts(size, number):
    """A body of this size; the bodies differ in their end alone."""
    block = random.Random(size).randbytes(BLOCK)
    end = b"%016d" % number
    whole, rest = divmod(size - len(end), BLOCK)
    yield from (block for _ in range(whole))
    yield block[:rest] + end


def digests(count, size):
    """Of so many bodies."""
    *common, last = parts(size, 0)
    begin = hashlib.sha512()
    for part in [*common, last[:-16]]:
        begin.update(part)
    for number in range(count):
        digest = begin.copy()
        digest.update(b"%016d" % number)
        yield digest.hexdigest()


def upload(port, env, size, number):
    """In a process of its own, so that this one's figures aren't those of Python's lock."""
    context = ssl.create_default_context(cafile=env["CA_FILE"])
    context.load_cert_chain(env["CLIENT_CERT"], env["CLIENT_KEY"])
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=3600)
    connection.request("POST", "/shacache", parts(size, number), {"Content-Length": str(size)})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@pytest.fixture
def roomy(start):
    """A cache with room for the uploads; it gives back what they took."""
    stack = start(WORKERS="2")
    wanted, free = UPLOADS * UPLOAD_BYTES * 11 // 10, shutil.disk_usage(stack.store).free
    assert free > wanted, f"{stack.store}: {free} bytes are free, {UPLOADS} uploads of {UPLOAD_BYTES} need {wanted}"
    yield stack
    for path in stack.store.glob("blobs/*/*"):
        path.unlink()


def test_twenty_large_uploads_at_once_take_no_memory_and_hold_nobody_up(roomy):
    # Fails when FileHandle.read takes the whole body, or `fastcgi_pass_request_body` is on. That others are answered
    # is owed to threads that take no uploads (ThreadPool.start), and to more nginx workers than fast senders
    # (`worker_processes`): nginx reads one body for as long as there is something to read, and leaves the other
    # connections of the same worker waiting.
    known = os.urandom(50_000)
    assert roomy.request("POST", "/shacache", known, context=roomy.tls())[0] == 201
    targets = [f"/shacache/{hashlib.sha512(known).hexdigest()}", "/shadir/make-run:round-trip"]
    wanted = list(digests(UPLOADS, UPLOAD_BYTES))
    waited = []
    with ProcessPoolExecutor(UPLOADS, multiprocessing.get_context("forkserver")) as clients:
        begun = time.monotonic()
        arguments = (int(roomy.settings["HTTPS_PORT"]), roomy.env, UPLOAD_BYTES)
        uploads = [clients.submit(upload, *arguments, number) for number in range(UPLOADS)]
        while not all(upload.done() for upload in uploads):
            for target in targets:
                asked = time.monotonic()
                assert roomy.request("GET", target)[0] == 200
                waited.append(time.monotonic() - asked)
            time.sleep(0.05)  # a client, not a load
        seconds = time.monotonic() - begun
    resident = [most_resident(roomy.pid(name)) for name in ("worker-1", "worker-2")]
    print(
        f"{UPLOADS} uploads of {UPLOAD_BYTES >> 20} MiB in {seconds:.1f} s; resident at most "
        f"{', '.join(f'{size / (1 << 20):.1f}' for size in resident)} MiB; meanwhile {len(waited)} other requests, "
        f"median {median(waited) * 1000:.0f} ms, longest {max(waited) * 1000:.0f} ms")
    assert [upload.result() for upload in uploads] == [(201, digest) for digest in wanted]
    assert max(resident) < MOST_RESIDENT
    assert len(waited) > 10 and max(waited) < 10


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    """A cache with one worker."""
    with Stack(tmp_path_factory.mktemp("slow"), WORKERS="1") as stack:
        yield stack


def test_uploads_onto_a_slow_disk_hold_nobody_up(lone, tmp_path):
    # Fails when nginx has no more workers than the machine has cores (`worker_processes`): as long as a body comes
    # faster than it can be written, nginx reads on, and all other connections of that worker wait.
    nginx = processes.children(lone.pid("nginx"))
    writes = "pwrite64,pwritev"
    waited = []
    with Trace(nginx, tmp_path / "trace", f"trace={writes}", f"inject={writes}:delay_enter=30ms"):
        with ThreadPoolExecutor() as clients:
            uploads = [
                clients.submit(lone.request, "POST", "/shacache", os.urandom(16 << 20), context=lone.tls())
                for _ in range(6)]
            while not all(upload.done() for upload in uploads):
                asked = time.monotonic()
                assert lone.request("GET", "/shadir/make-run:round-trip")[0] == 200
                waited.append(time.monotonic() - asked)
                time.sleep(0.05)  # a client, not a load
    assert {upload.result()[0] for upload in uploads} == {201}
    print(f"beside 6 uploads onto a slow disk: {len(waited)} requests, longest {max(waited) * 1000:.0f} ms")
    assert max(waited) < 2


class Trickle:
    """Connections that each send a byte of their body now and then, while the block runs."""

    PAUSE = 0.5  # seconds

    def __init__(self, stack, sizes):
        context = stack.tls()
        self.wires = [Wire(stack, context) for _ in sizes]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._trickle)
        self.sent = 0
        for wire, size in zip(self.wires, sizes):
            wire.send(f"POST /shacache HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n")

    def _trickle(self):
        while not self._over.is_set():
            for wire in self.wires:
                wire.send(b"x")
            self.sent += 1
            self._over.wait(self.PAUSE)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


def test_two_hundred_slow_clients_hold_nobody_up(lone):
    # Fails with `fastcgi_request_buffering off`, and when the location of large uploads asks for admission later than
    # now: each of these clients would hold one of the worker's threads.
    body = os.urandom(30_000_000)
    digest = lone.request("POST", "/shacache", body, context=lone.tls())[2].decode()
    readers = [Wire(lone) for _ in range(100)]
    for reader in readers:  # that never read
        reader.send(f"GET /shacache/{digest} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    sizes = [10_000] * 100 + [3_000_000] * 100
    waited = []
    with Trickle(lone, sizes) as trickle:
        eventually(lambda: trickle.sent >= 2)
        for number in range(50):
            quick = os.urandom(1000)
            requests = [
                ("GET", "/shadir/make-run:round-trip", None, None), ("POST", "/shacache", quick, lone.tls()),
                ("GET", f"/shacache/{hashlib.sha512(quick).hexdigest()}", None, None)]
            for method, target, content, context in requests:
                asked = time.monotonic()
                assert lone.request(method, target, content, context=context, timeout=20)[0] in (200, 201)
                waited.append(time.monotonic() - asked)
        eventually(lambda: trickle.sent >= 4)
    print(f"beside 300 slow clients: median {median(waited) * 1000:.0f} ms, longest {max(waited) * 1000:.0f} ms")
    assert median(waited) < 0.5 and max(waited) < 5
    # They are slow, not lost.
    for wire, size in [(trickle.wires[0], sizes[0]), (trickle.wires[-1], sizes[-1])]:
        wire.send(b"x" * (size - trickle.sent))
        assert wire.answer("POST").status == 201
    assert readers[0].answer().body == body
    for wire in [*trickle.wires, *readers]:
        wire.close()
