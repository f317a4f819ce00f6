"""A near cache whose upstream lies, and whose processes are killed, at random: what clients get, and what is kept."""

import hashlib
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

import processes
import pytest
from faulty import Fault
from nearby import Fetching, configure, fetcher, get, speak_http2, tables
from stack import Database, eventually

CLIENTS = 4
WAYS = [(["--http1.1"], False), (["--http1.1", "--compressed"], False), (["--http1.1"], True), (["--http2"], True)]


@pytest.fixture(scope="module")
def near(near, upstream):
    """Its HTTPS port speaks HTTP/2."""
    configure(near, tables(("first", upstream), stall_timeout="4 seconds"))
    speak_http2(near)
    return near


@pytest.fixture
def seed():
    """Another one each time; a test that fails shows it. `SEED` in the environment is one to try again with."""
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print(f"SEED={seed}")
    return seed


def sizes(chance):
    """Most below what is sent as a whole, some above."""
    return chance.choice([chance.randrange(1, 100_000), chance.randrange(1, 1 << 20), chance.randrange(1, 4 << 20)])


class Wrong(Fault):
    """Each blob in its own way: cut at a byte, whatever is asked for; another bit in a byte; or shorter, as announced."""

    def __init__(self):
        super().__init__({})

    def send(self, handler, data, start):
        kind, offset = self.wanted[handler.path.rpartition("/")[2]]
        if kind == "cut":
            self.head(handler, data, start)
            handler.wfile.write(data[start:offset])
        elif kind == "corrupted":
            self.head(handler, data, start)
            handler.wfile.write((data[:offset] + bytes([data[offset] ^ 1 << offset % 8]) + data[offset + 1:])[start:])
        else:
            handler.send_response(200)
            handler.send_header("Content-Length", str(offset))
            handler.end_headers()
            handler.wfile.write(data[:offset])


COUNTS = [20, pytest.param(1000, marks=pytest.mark.slow)]


# Fetch.Progress.sendable, Reception.verify.
@pytest.mark.parametrize("count", COUNTS)
def test_what_is_wrong_anywhere_is_never_whole_and_never_kept(near, upstream, tmp_path, seed, count):
    chance, wrong = random.Random(seed), Wrong()
    upstream.answer = wrong

    def planned():
        for _ in range(count):
            data = chance.randbytes(sizes(chance))
            fault = chance.choice(["cut", "corrupted", "truncated"]), chance.randrange(len(data))
            yield data, fault, chance.choice(WAYS)

    def ask(plan):
        data, fault, (words, tls) = plan
        wrong.wanted[digest := upstream.has(data)] = fault
        code, status, body = Fetching(near, digest, tmp_path, *words, tls=tls).end()
        del upstream.blobs[digest]
        whole = fault[1] if fault[0] == "truncated" else len(data)
        return digest, fault, len(data), code, status, status == "404" or (code != 0 and len(body) < whole)

    try:
        with ThreadPoolExecutor(CLIENTS) as clients:
            answers = [answer for plans in batches(planned(), 50) for answer in clients.map(ask, plans)]
    finally:
        upstream.answer = None
    assert [answer for answer in answers if not answer[-1]] == []
    assert Database(near).run("SELECT count(*) FROM shacache.blob WHERE upstream_id IS NOT NULL") == [("0",)]
    assert not any(near.blob_file(digest).exists() for digest, *_ in answers)
    # Some were refused before they were sent, and some cut on the way.
    assert {status for *_, status, _ in answers} == {"200", "404"} or count < 100


def batches(items, size):
    """Lists of so many, made when they are taken."""
    items = iter(items)
    while batch := [item for _, item in zip(range(size), items)]:
        yield batch


class Load:
    """Clients that ask for new blobs of the upstream until the block ends; each notes what was wrong with an answer."""

    def __init__(self, near, upstream, seed):
        self._near, self._upstream, self._seed = near, upstream, seed
        self._ends = threading.Event()
        self.whole, self.cut, self.wrong = {}, 0, []

    def __enter__(self):
        self._threads = [threading.Thread(target=self._ask, args=[random.Random(f"{self._seed} {number}")]) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, chance):
        while not self._ends.is_set():
            data = chance.randbytes(sizes(chance))
            digest = self._upstream.has(data)
            try:
                status, _, body = get(self._near, digest)
            except (OSError, HTTPException):
                self.cut += 1
                continue
            if status == 200:
                self.whole[digest] = len(data)
                if body != data:
                    self.wrong.append((digest, len(data), len(body)))
            elif status not in (404, 502, 503):
                self.wrong.append((digest, status))


class Slow(Fault):
    """In two halves, with a moment between."""

    def send(self, handler, data, start):
        self.head(handler, data, start)
        half = max(start, len(data) // 2)
        handler.wfile.write(data[start:half])
        handler.wfile.flush()
        time.sleep(0.02)
        handler.wfile.write(data[half:])


# What lies there: Reception.init, SpooledBody.seal, FetchedBlobs.store.
@pytest.mark.parametrize("kills", [10, pytest.param(500, marks=pytest.mark.slow)])
def test_killed_in_the_middle_it_keeps_only_what_is_right(near, upstream, seed, kills):
    chance = random.Random(seed)
    upstream.answer = Slow(upstream.blobs)
    try:
        with Load(near, upstream, seed) as load:
            for _ in range(kills):
                time.sleep(chance.uniform(0.02, 0.4))
                if (name := chance.choice(["fetcher", "fetcher", "worker-1", "worker-2"])) == "fetcher":
                    os.kill(old := eventually(lambda: fetcher(near)), signal.SIGKILL)
                    eventually(lambda: fetcher(near) not in (None, old))
                else:
                    processes.send(near, name)
    finally:
        upstream.answer = None
    assert load.wrong == [] and load.whole and (load.cut or kills < 100)
    # Before the files: a fetch that is still under way has its file first.
    rows = {name for (name,) in Database(near).run("SELECT encode(sha512, 'hex') FROM shacache.blob")}
    files = {file.name: file for file in near.store.glob("blobs/*/*")}
    assert [name for name, file in files.items() if hashlib.sha512(file.read_bytes()).hexdigest() != name] == []
    assert rows <= files.keys()
    # What was not stored then is now.
    for digest in chance.sample(sorted(load.whole), min(20, len(load.whole))):
        assert eventually(lambda: (answer := get(near, digest))[0] == 200 and answer)[2] == upstream.blobs[digest]
