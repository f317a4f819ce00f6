"""The rows of the table: what is asked of a cache and of each peer, with the same load."""

import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import load
from peers import Nginx, Registry, Slapproxy
from stack import REPOSITORY

LARGE = 64 * 1024
HUGE = 100_000_000
FILE_BYTES = (1 << 30) // 20_000
PYTHON_FILES = 1000  # at most; it is slow


@dataclass
class Row:
    """`peers` are types of peers with how each is asked. Settings are those of the caches that this needs."""

    name: str
    unit: str
    ours: Callable
    peers: dict
    settings: dict
    on_disk: bool = False


def rows(options):
    seconds, pool = options.seconds, max(500, round(4000 * options.seconds))
    small, huge = os.urandom(4096), os.urandom(1 << 20) * (HUGE >> 20)

    def get(body, **how):
        def burst(target):
            name = kept(target, body)
            path = f"/shacache/{name}" if hasattr(target, "tree") else f"/{name}"
            return load.download(target.pids, target.url(path), seconds, **how)
        return burst

    def get_key(target):
        return load.download(target.pids, target.url(target.listed), seconds)

    def put_entry(path, connections=8):
        def burst(target):
            # The same bytes for a peer, which doesn't look at the signature.
            bodies = target.signed_entries(pool) if hasattr(target, "tree") else options.any_entries(pool)
            return load.upload(target.pids, target, seconds, connections, "PUT", path, bodies=bodies)
        return burst

    def post(method, path, connections):
        return lambda target: load.upload(target.pids, target, seconds, connections, method, path, size=LARGE)

    def post_row(name, connections, peers, on_disk):
        ways = {Slapproxy: ("POST", "/shacache/cache"), Nginx: ("PUT", "/%"), Registry: ("registry", "/v2/bench/blobs/uploads/")}
        return Row(name, "1/s", post("POST", "/shacache", connections),
                   {peer: post(*ways[peer], connections) for peer in peers}, {}, on_disk)

    def files(target):
        return load.run(target.pids, [
            target.tree / ".build/release/shacache", "upload", "--config", target.state / "client/networkcache.cfg",
        ], options.plant)

    return [
        Row("PUT entry, signed, TLS, 8 connections", "1/s", put_entry("/shadir/bench:%"),
            {Slapproxy: put_entry("/shacache/dir/bench:%")}, {}),
        Row("PUT entry, disk, signed, TLS, 32 connections", "1/s", put_entry("/shadir/bench:%", 32), {}, {}, on_disk=True),
        post_row("POST 64 KiB, TLS, 8 connections", 8, [Slapproxy, Nginx, Registry], False),
        post_row("POST 64 KiB, disk, TLS, 32 connections", 32, [Nginx, Registry], True),
        Row("GET of a key, 1 entry", "1/s", get_key, {Slapproxy: get_key}, {}),
        Row("GET 4 KiB by X-Accel", "1/s", get(small), {Nginx: get(small)}, {}),
        Row("GET 4 KiB directly", "1/s", get(small), {Nginx: get(small)}, {"DIRECT": "1"}),
        Row("GET 100 MB", "MB/s", get(huge, connections=4, of_bytes=True),
            dict.fromkeys((Nginx, Registry), get(huge, connections=4, of_bytes=True)), {}),
        Row(f"upload of {options.files:,} files of {FILE_BYTES:,} bytes", "files/s", files, {}, {}),
    ]


def kept(target, body):
    """The name of a blob that a server was given once."""
    names = target.__dict__.setdefault("names", {})
    return names.setdefault(len(body), None) or names.update({len(body): target.keep(body)}) or names[len(body)]


PYTHON_CLIENT = """
import sys
from slapos.libnetworkcache import NetworkcacheClient
with open(sys.argv[1]) as configuration:
    client = NetworkcacheClient(configuration)
for name in sys.argv[2:]:
    with open(name, "rb") as file:
        client.upload(file)
"""


def by_python_client(options, cache):
    """One process that uploads file after file, as networkcache-upload does one; a part of the files is enough."""
    python = subprocess.run(
        [REPOSITORY / "ops/test-venv"], capture_output=True, text=True, check=True).stdout.strip() + "/bin/python"
    return load.run(
        cache.pids, [python, "-c", PYTHON_CLIENT, cache.state / "client/networkcache.cfg"],
        lambda: options.plant()[:PYTHON_FILES])


def plant(tree, count):
    """The paths of files with slices of what this machine has installed; at each call with other contents."""
    files = [tree / str(number // 100) / str(number) for number in range(count)]
    if not tree.exists():
        heap, chance = b"".join(_installed(64 << 20)), random.Random(1)
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            start = chance.randrange(len(heap) - FILE_BYTES)
            file.write_bytes(heap[start : start + FILE_BYTES])
    for file in files:
        with open(file, "r+b") as changed:
            changed.write(os.urandom(16))
    return files


def _installed(total):
    for source in sorted(Path("/usr/lib").rglob("*.so*")):
        if total > 0 and source.is_file() and not source.is_symlink():
            part = source.read_bytes()[: 4 << 20]
            total -= len(part)
            yield part


def file_system(directory):
    return subprocess.run(
        ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", directory], capture_output=True, text=True, check=True).stdout.strip()


