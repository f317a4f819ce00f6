"""A near cache: what it lacks it fetches from an upstream, through nginx, worker and fetcher."""

import hashlib
import os
import random
import re
import signal
import subprocess
import threading
from itertools import count

import pytest
from faulty import Another, Corrupting, Encoded, Endless, Gated, HugeHeaders, Long, Page, Short, Slow, Stalling, Truncating
from impostor import Impostor, reply
from stack import Database, Stack, eventually

SEEDS = count()


def bytes_of(size):
    """Others at each call."""
    return random.Random(f"near {next(SEEDS)}").randbytes(size)


def name_of(data):
    return hashlib.sha512(data).hexdigest()


@pytest.fixture(scope="module")
def upstream():
    with Impostor() as impostor:
        yield impostor


@pytest.fixture(scope="module")
def second():
    with Impostor() as impostor:
        yield impostor


def more(*upstreams, **options):
    """What `make run` configures for these, with options for all."""
    lines = "\n".join(f"{name.replace('_', '-')} = {value!r}".replace("'", '"') for name, value in options.items())
    return "\n".join(
        f'[[upstream]]\nname = "{name}"\nshacache = "{server.url}/shacache"\nshadir = "{server.url}/shadir"\n{lines}\n'
        for name, server in upstreams)


def restart_fetcher(near):
    """Returns when another one has taken its place."""
    old = near.pid("fetcher")
    os.kill(old, signal.SIGTERM)
    file = near.state / "run/fetcher.pid"
    eventually(lambda: file.read_text() not in ("", str(old), f"{old}\n"))


@pytest.fixture(scope="module")
def near(tmp_path_factory, upstream, second):
    """A near cache with two upstreams, whose stalls are short, and whose HTTPS port speaks HTTP/2."""
    with Stack(tmp_path_factory.mktemp("near"), UPSTREAM=f"{upstream.url}/shacache") as near:
        file = near.state / "shacache.toml"
        made = file.read_text().split("\n[[upstream]]")[0]
        file.write_text(f"{made}\n{more(('first', upstream), ('second', second), stall_timeout='1 second', limit='64 MB')}")
        restart_fetcher(near)
        site = near.state / "nginx/site.conf"
        site.write_text(site.read_text().replace(" ssl;", " ssl http2;"))
        near.reload_nginx()
        yield near


@pytest.fixture(autouse=True)
def well(request):
    """No test leaves a fault to the next one."""
    yield
    for name in "upstream", "second":
        if name in request.fixturenames:
            request.getfixturevalue(name).answer = None


def asked(server, digest, method="GET"):
    """For the blob, of this upstream."""
    return server.asked(method, f"/shacache/{digest}")


def get(near, digest, **headers):
    return near.request("GET", f"/shacache/{digest}", headers=headers)


def leftovers(near):
    return [path.name for path in near.spool.glob("fetched-*")]


def is_stored(near, data):
    """As a blob by no account; waits, since its client has it before the disk."""
    digest = name_of(data)
    rows = lambda: Database(near).run(
        f"SELECT size, account_id, upstream.name FROM shacache.blob JOIN shacache.upstream ON upstream.id = upstream_id "
        f"WHERE sha512 = '\\x{digest}'")
    eventually(rows)
    return rows() == [(str(len(data)), "", "first")] and near.blob_file(digest).read_bytes() == data


# Service.blob, Fetcher.run, BlobRepository.storeFetched.
@pytest.mark.parametrize("size", [0, 1, 5000, 3_000_000])
def test_what_is_missing_is_fetched_once_and_stays(near, upstream, size):
    data = bytes_of(size)
    digest = upstream.has(data)
    before = Database(near).run("SELECT count(*), (SELECT coalesce(sum(bytes), 0) FROM shacache.account_usage) FROM shacache.upload")
    status, headers, body = get(near, digest)
    assert (status, body == data, headers["ETag"], headers["Content-Length"]) == (200, True, f'"{digest}"', str(size))
    assert is_stored(near, data) and leftovers(near) == []
    status, headers, body = get(near, digest)
    assert (status, body == data, headers["ETag"]) == (200, True, f'"{digest}"')
    assert len(asked(upstream, digest)) == 1
    assert before == Database(near).run("SELECT count(*), (SELECT coalesce(sum(bytes), 0) FROM shacache.account_usage) FROM shacache.upload")


def test_a_miss_everywhere_is_the_miss_that_it_was(near, stack):
    digest = name_of(bytes_of(10))
    (status, headers, body), here = get(near, digest), get(stack, digest)
    assert (status, body, headers["Content-Type"]) == (404, here[2], here[1]["Content-Type"])
    assert get(near, digest, Range="bytes=5-")[::2] == (404, b"")


# BlobRepository.mayFetch.
def test_what_was_withdrawn_here_is_not_fetched(near, upstream):
    data = bytes_of(1000)
    digest = upstream.has(data)
    near.upload(data)
    near.admin("blob", "withdraw", digest, "--reason", "not wanted")
    assert get(near, digest)[0] == 404
    assert near.request("HEAD", f"/shacache/{digest}")[0] == 404
    assert asked(upstream, digest) == asked(upstream, digest, "HEAD") == []
