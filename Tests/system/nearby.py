"""A near cache, and what its tests ask of it."""

import hashlib
import http.client
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from itertools import count

from exposition import scrape
from faulty import Gated
from stack import Database, eventually

SEEDS = count()
HELD_BACK = 64 << 10  # of a blob, until its hash is right (Fetch.heldBack)
FED = 256  # clients at once (the option `clients`)


def bytes_of(size):
    """Others at each call."""
    return random.Random(f"near {next(SEEDS)}").randbytes(size)


def name_of(data):
    return hashlib.sha512(data).hexdigest()


def tables(*upstreams, **options):
    """What `make run` configures for these, with options for all."""
    return "\n".join(
        f'[[upstream]]\nname = "{name}"\nshacache = "{server.url}/shacache"\nshadir = "{server.url}/shadir"\n{toml(options)}\n'
        for name, server in upstreams)


def toml(options):
    """A line for each."""
    return "\n".join(f"{name.replace('_', '-')} = {value!r}".replace("'", '"') for name, value in options.items())


def configure(near, tables, **fetching):
    """Puts these tables in place of the upstreams that a near cache has, with options of `[fetching]`, and starts its fetcher
    again."""
    file = near.state / "shacache.toml"
    before = file.read_text().split("\n[fetching]")[0]
    file.write_text(f"{before}\n[fetching]\n{toml({'socket': str(near.state / 'run/fetch.sock'), **fetching})}\n\n{tables}")
    restart(near)


def speak_http2(near):
    """On its HTTPS port."""
    site = near.state / "nginx/site.conf"
    site.write_text(site.read_text().replace(" ssl;", " ssl http2;"))
    near.reload_nginx()


def restart(near):
    """Returns when another fetcher has taken its place."""
    old = eventually(lambda: fetcher(near))
    # What exits by itself soon after its start, again and again, the runner takes for a crash loop.
    os.kill(old, signal.SIGKILL)
    eventually(lambda: fetcher(near) not in (None, old))


def fetcher(near):
    """Its process; None while another one is to take its place."""
    try:
        return int((near.state / "run/fetcher.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None


def memory(pid):
    """The most that a process had in memory, in bytes, and how many threads it has."""
    with open(f"/proc/{pid}/status") as file:
        status = file.read()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) << 10, int(re.search(r"Threads:\s+(\d+)", status)[1])


def is_still(near):
    """Whether no client gets anything of what comes."""
    def sent():
        return scrape(near).sum("shacache_fed_bytes_total")

    before = sent()
    time.sleep(0.5)
    return sent() == before


@contextmanager
def crowd(near, upstream, stuck=200, slow=500):
    """So many connections to an upstream that has stopped in the middle of a blob, and so many clients that take nothing of a
    large one; gives what lets go of all, and the large one's name."""
    gate, port = threading.Event(), int(near.settings["HTTP_PORT"])
    names = [upstream.has(bytes_of(300_000)) for _ in range(stuck)]
    large = upstream.has(bytes_of(40 << 20))
    upstream.answer = Gated({*names, large}, gate)
    connections, before = [], len(upstream.requests)
    try:
        for name in names + slow * [large]:
            connection = http.client.HTTPConnection("localhost", port, timeout=60)
            connection.connect()
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.request("GET", f"/shacache/{name}")
            connections.append(connection)
        eventually(lambda: len(upstream.requests) - before > stuck, seconds=60)
        # All has come that fits between them: a crowd that is there, not one that arrives, or waits for what has stopped.
        eventually(lambda: scrape(near).sum("shacache_fed_clients") >= min(slow, FED), seconds=60)
        eventually(lambda: is_still(near), seconds=60)
        yield gate.set, large
    finally:
        gate.set()
        for connection in connections:
            connection.close()
        upstream.answer = None
        # Or the next crowd would find no place.
        eventually(lambda: scrape(near).sum("shacache_fetches_in_flight") == 0, seconds=60)


def asked(server, digest, method="GET"):
    """For the blob, of this upstream."""
    return server.asked(method, f"/shacache/{digest}")


def get(near, digest, **headers):
    return near.request("GET", f"/shacache/{digest}", headers=headers)


def leftovers(near, digest):
    """What lies in the spool of a blob that is not here yet."""
    return list(near.spool.glob(f"fetched-*-{digest}"))


def is_stored(near, data):
    """As a blob by no account; waits, since its client has it before the disk."""
    digest = name_of(data)
    rows = lambda: Database(near).run(
        f"SELECT size, account_id, upstream.name FROM shacache.blob JOIN shacache.upstream ON upstream.id = upstream_id "
        f"WHERE sha512 = '\\x{digest}'")
    eventually(rows)
    return rows() == [(str(len(data)), "", "first")] and near.blob_file(digest).read_bytes() == data


def log_of(near):
    return (near.state / "log/fetcher.log").read_text()


class Fetching:
    """curl, which gets a blob."""

    def __init__(self, near, digest, tmp_path, *words, tls=False):
        self.body = tmp_path / f"body-{next(SEEDS)}"
        port = near.settings["HTTPS_PORT" if tls else "HTTP_PORT"]
        url = f"http{'s' if tls else ''}://localhost:{port}/shacache/{digest}"
        self.process = subprocess.Popen(
            ["curl", "-sS", "-N", "--cacert", near.env["CA_FILE"], "-o", self.body, "-w", "%{http_code}", *words, url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @property
    def received(self):
        return self.body.stat().st_size if self.body.exists() else 0

    def end(self):
        """curl's exit code, the status, and the bytes."""
        status, _ = self.process.communicate(timeout=60)
        return self.process.returncode, status, self.body.read_bytes() if self.body.exists() else b""
