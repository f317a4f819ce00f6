"""1 GiB each way, while the connection is cut, the client is killed and the server starts again; and how much memory
that takes. `pytest -s` shows the figures."""

import hashlib
import os
import signal
import subprocess
import time

import processes
import pytest
from cutting import CuttingProxy, ranges
from deployed import new_key
from node import DONE, UNREACHABLE, Node, assert_ended
from stack import Stack, eventually
from test_memory import most_resident
from tunnel import Tunnel

GIB = 1 << 30
MIB = 1 << 20
MOST_RESIDENT = 64 * MIB
KEY = new_key()


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("large"), WORKERS="1") as stack:
        yield stack
        for path in stack.store.glob("blobs/*/*"):
            path.unlink()


@pytest.fixture(scope="module")
def large(lone, tmp_path_factory):
    """A machine with a file of 1 GiB, most of which takes no room on the disk."""
    node = Node.of(lone, tmp_path_factory.mktemp("node"))
    with open(node.directory / "large", "wb") as file:
        for place in range(0, GIB, 64 * MIB):
            file.seek(place)
            file.write(os.urandom(MIB))
        file.truncate(GIB)
    yield node
    for path in node.directory.iterdir():
        path.unlink()


def watched(client):
    """Waits for its end; returns the most memory that it had."""
    most = 0
    while client.poll() is None:
        try:
            most = max(most, most_resident(client.pid))
        except (OSError, TypeError):
            pass  # it is ending
        time.sleep(0.01)
    return most


def received(stack):
    """How much of the largest upload has come."""
    sizes = [0]
    for path in stack.spool.iterdir():
        try:
            sizes.append(path.stat().st_size)
        except OSError:
            pass  # published meanwhile
    return max(sizes)


def part(node):
    """How much of a download has come."""
    return max((path.stat().st_size for path in node.directory.glob(".out.*")), default=0)


def restart(stack, tunnel):
    """In the middle of what goes through the tunnel."""
    tunnel.open.clear()
    # An nginx without its master serves on, and keeps the next one from listening.
    nginx = stack.pid("nginx")
    for pid in nginx, *processes.children(nginx):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: stack.pid("nginx") != nginx)
    processes.send(stack, "worker-1")
    processes.wait_until_live(stack)
    tunnel.open.set()


def through(stack, tunnel):
    """The client's settings that lead uploads through the tunnel."""
    url = f"https://localhost:{tunnel.port}"
    return ["-O", f"upload-cache-url={url}/shacache", "-O", f"upload-dir-url={url}/shadir"]


def test_an_upload_outlives_a_kill_a_cut_and_a_restart(lone, large):
    words = ["upload", "-k", KEY, "large"]
    with large.start(*words) as client:
        eventually(lambda: received(lone) > 100 * MIB)
        client.kill()
    # Nothing of it stays.
    eventually(lambda: received(lone) == 0)
    assert all(path.stat().st_size < MIB for path in lone.store.glob("blobs/*/*")) and lone.entries(KEY) is None
    with Tunnel(int(lone.settings["HTTPS_PORT"]), cuts=[200 * MIB]) as tunnel:
        with large.start(*words, "-v", *through(lone, tunnel)) as client:
            eventually(lambda: tunnel.connections > 1 and received(lone) > 300 * MIB)
            restart(lone, tunnel)
            most = watched(client)
            error = client.stderr.read()
            output = client.stdout.read()
    assert client.returncode == DONE, error
    assert error.count(b"tries again") >= 2
    print(f"upload: resident at most {most / MIB:.1f} MiB")
    assert 0 < most < MOST_RESIDENT
    digest = output.decode().strip()
    assert lone.blob_file(digest).stat().st_size == GIB
    assert subprocess.run(["cmp", lone.blob_file(digest), large.directory / "large"]).returncode == 0
    assert len(lone.entries(KEY)) == 1


def test_a_download_outlives_a_cut_a_kill_and_a_restart(lone, large):
    words, out = ["download", "-k", KEY, "-o", "out"], large.directory / "out"
    with CuttingProxy(int(lone.settings["HTTP_PORT"]), [300 * MIB]) as proxy:
        option = f"download-cache-url=http://127.0.0.1:{proxy.port}/shacache"
        assert_ended(large.run(*words, "--retries", "0", "-O", option), UNREACHABLE)
        assert ranges(proxy) == [None]
    first = part(large)
    assert 299 * MIB < first < 300 * MIB and not out.exists()
    with large.start(*words) as client:
        eventually(lambda: part(large) > 450 * MIB)
        client.kill()
    second = part(large)
    assert second > first and not out.exists()
    with Tunnel(int(lone.settings["HTTP_PORT"])) as tunnel:
        option = f"download-cache-url=http://127.0.0.1:{tunnel.port}/shacache"
        with large.start(*words, "-v", "-O", option) as client:
            eventually(lambda: part(large) > 600 * MIB)
            restart(lone, tunnel)
            most = watched(client)
            error = client.stderr.read()
    assert client.returncode == DONE and b"tries again" in error, error
    print(f"download: resident at most {most / MIB:.1f} MiB")
    assert 0 < most < MOST_RESIDENT
    assert subprocess.run(["cmp", out, large.directory / "large"]).returncode == 0
    assert part(large) == 0


def test_a_pipe_of_1_gib_takes_no_memory_either(lone, large):
    # It is there already: hashed while it comes, sent in part at most.
    with open(large.directory / "large", "rb") as file, subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) as cat:
        with large.start("upload", "/dev/stdin", stdin=cat.stdout) as client:
            most = watched(client)
            output = client.stdout.read()
    assert client.returncode == DONE and len(output) == 129
    print(f"pipe: resident at most {most / MIB:.1f} MiB")
    assert 0 < most < MOST_RESIDENT
