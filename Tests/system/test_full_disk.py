"""A store whose disk is full: uploads are 507, everything else goes on, and room that is made is used at once."""

import errno
import hashlib
import json
import os
import subprocess

import pytest
from faulty import Chunked, Corrupting
from halfway import HalfUpload
from history import Client, History, check_store
from nearby import HELD_BACK, Fetching, bytes_of, get, leftovers, log_of
from stack import Database, eventually

SMALL, LARGE = 500_000, 3_000_000  # bytes; nginx asks for admission of a large one before it takes it


@pytest.fixture
def start_on(start):
    """Starts a cache whose store is a small file system of its own: `start_on("size=48m")`."""
    if os.getuid() != 0:
        pytest.skip("mounting a file system needs root")
    stacks = []

    def start_on(options, **settings):
        stack = start(WORKERS="2", **settings)
        stack.stop()
        owner = stack.store.stat()
        options += f",mode=0750,uid={owner.st_uid},gid={owner.st_gid}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "shacache-test", stack.store], check=True)
        stacks.append(stack)
        stack.start()
        return stack

    yield start_on
    for stack in stacks:
        try:
            stack.stop()
        finally:
            subprocess.run(["umount", "--lazy", stack.store], check=True)


class Ballast:
    """What takes up room in a store, and can be thrown off."""

    def __init__(self, stack):
        self._directory = stack.store / "ballast"
        self._directory.mkdir()

    def take_bytes(self, count):
        with open(self._directory / "bytes", "ab", buffering=0) as file:
            while count > 0:
                count -= file.write(bytes(min(count, 4096)))

    def take_files(self, count):
        for number in range(count):
            (self._directory / f"{number}-{len(os.listdir(self._directory))}").touch()

    @staticmethod
    def to_the_last(take):
        """Until the kernel says that there is no more."""
        with pytest.raises(OSError) as full:
            take(1 << 40)
        assert full.value.errno == errno.ENOSPC

    def throw_off(self):
        for path in self._directory.iterdir():
            path.unlink()


def fill(client, size):
    """Uploads until one is refused."""
    for _ in range(500):
        event = client.upload(os.urandom(size))
        if event.status != 201:
            return event
    raise AssertionError("it was never full")


def assert_that_it_is_full_and_goes_on(stack, known):
    """Every kind of upload is refused with one clear line; reading works; nothing half done stays."""
    entry = json.dumps([json.dumps({"sha512": "1" * 128}), ""]).encode()
    digest = hashlib.sha512(known).hexdigest()
    requests = [
        ("POST", "/shacache", os.urandom(SMALL)), ("POST", "/shacache", os.urandom(LARGE)), ("PUT", "/shadir/new", entry),
        ("PUT", f"/shacache/{digest}", known), ("POST", "/shacache", iter([os.urandom(LARGE)]))]  # the last in chunks
    for method, target, body in requests:
        status, _, line = stack.request(method, target, body, context=stack.tls())
        assert status == 507 and line.count(b"\n") == 1 and (b"room" in line or b"full" in line), (method, target, line)
        assert str(stack.state).encode() not in line
    status, _, found = stack.request("GET", f"/shacache/{digest}")
    assert (status, found) == (200, known)
    assert stack.request("GET", "/shadir/make-run:round-trip")[0] == 200
    assert stack.request("GET", "/shadir/new")[0] == 404
    assert stack.request("GET", "/-/live")[0] == 200
    assert stack.request("GET", "/-/ready")[0] == 503
    assert check_store(stack) == set()


def assert_that_it_takes_uploads(stack):
    for body in (os.urandom(SMALL), os.urandom(LARGE)):
        status, _, digest = stack.request("POST", "/shacache", body, context=stack.tls())
        assert status == 201
        assert stack.request("GET", f"/shacache/{digest.decode()}")[2] == body
    assert stack.request("GET", "/-/ready")[0] == 200


def test_a_full_disk_refuses_uploads_and_nothing_else(start_on):
    # Fails without LocalBlobs.admit, without ENOSPC in StoreError, or without the 507 in nginx/uploads.conf.
    stack = start_on("size=48m")
    ballast, known, history = Ballast(stack), os.urandom(100_000), History(stack)
    client = Client(stack, history, stack.tls())
    assert client.upload(known).status == 201
    ballast.take_bytes(8 << 20)
    # First a worker meets the reserve; then nginx the end.
    for size in (LARGE, SMALL):
        event = fill(client, size)
        assert (event.status, event.said) == (507, "the store has no room for the upload: tell its operator, and send it again later")
    ballast.to_the_last(ballast.take_bytes)
    assert_that_it_is_full_and_goes_on(stack, known)
    failed = Database(stack).run("SELECT DISTINCT reason, status FROM shacache.upload WHERE outcome = 'failed'")
    assert failed == [("no space", "507")]
    ballast.throw_off()
    assert_that_it_takes_uploads(stack)
    client.close()
    assert history.check() == set()


def test_uploads_that_fill_the_disk_together_are_stored_or_507(start_on):
    # Each alone was admitted. Fails without the answer for 500 in @not_admitted (nginx/uploads.conf), and without
    # `lingering_time` (nginx/server.conf), since a client that still sends would see its connection reset.
    stack = start_on("size=48m")
    uploads = [HalfUpload(stack, 12_000_000) for _ in range(8)]
    answers = [(upload, upload.finish()) for upload in uploads]
    assert {answer.status for _, answer in answers} == {201, 507}
    for upload, answer in answers:
        status, _, found = stack.request("GET", f"/shacache/{upload.digest}")
        if answer.status == 201:
            assert (status, found) == (200, upload.body)
        else:
            assert answer.line and status == 404
    assert check_store(stack) == set()


def test_a_disk_without_inodes_refuses_uploads_and_nothing_else(start_on):
    # Fails without the look at inodes in LocalBlobs.admit.
    stack = start_on("size=64m,nr_inodes=500")
    ballast, known, history = Ballast(stack), os.urandom(100_000), History(stack)
    client = Client(stack, history, stack.tls())
    assert client.upload(known).status == 201
    ballast.take_files(50)
    event = fill(client, 1000)
    assert (event.status, event.said) == (507, "the store has no room for the upload: tell its operator, and send it again later")
    ballast.to_the_last(ballast.take_files)
    assert_that_it_is_full_and_goes_on(stack, known)
    ballast.throw_off()
    assert_that_it_takes_uploads(stack)
    client.close()
    assert history.check() == set()


def test_a_repair_on_a_full_disk_does_what_needs_no_room(start_on):
    # Fails when StoreCheck.add doesn't catch what a repair throws.
    stack = start_on("size=64m,nr_inodes=500")
    digest = hashlib.sha512(known := os.urandom(1000)).hexdigest()
    assert stack.upload(known) == digest
    shelf = next(shelf for shelf in (stack.store / "blobs").iterdir() if not any(shelf.iterdir()))
    shelf.rmdir()
    stack.blob_file(digest).rename(stack.store / "withdrawn" / digest)
    leftover = stack.spool / "0000000099"
    leftover.touch()
    os.utime(leftover, (0, 0))
    ballast = Ballast(stack)
    ballast.to_the_last(ballast.take_files)
    found = repaired(stack, code=1)
    assert found.pop("directory") == (False, "no such file or directory: not repaired: make a directory of the store: no space left on device")
    assert {kind: is_repaired for kind, (is_repaired, _) in found.items()} == {"hidden": True, "leftover": True, "unknown": False}
    assert stack.request("GET", f"/shacache/{digest}")[2] == known
    # The leftover has made room.
    assert repaired(stack)["directory"][0] and shelf.is_dir()
    ballast.throw_off()
    assert_that_it_takes_uploads(stack)


def repaired(stack, code=0):
    """{kind: (whether it was repaired, detail)} of the last of each kind."""
    done = stack.admin("check", "--repair", "--json", check=False)
    assert done.returncode == code, done
    return {row["kind"]: (row["repaired"], row["detail"]) for row in json.loads(done.stdout)["findings"]}


# Passage; FetchAttempt, which keeps nothing that can't be finished.
def test_what_is_fetched_passes_through_a_full_store(start_on, impostor, tmp_path):
    near = start_on("size=48m", UPSTREAM=f"{impostor.url}/shacache")
    ballast = Ballast(near)
    ballast.to_the_last(ballast.take_bytes)
    data = bytes_of(LARGE)
    digest = impostor.has(data)
    assert Fetching(near, digest, tmp_path).end() == (0, "200", data)
    assert get(near, digest, Range="bytes=1000000-1999999")[::2] == (206, data[1000000:2000000])
    assert not near.blob_file(digest).exists() and leftovers(near, digest) == []
    assert 'shacache_fetches_total{worker="' in near.request("GET", "/metrics")[2].decode()
    wrong = impostor.has(bytes_of(LARGE))
    impostor.answer = Corrupting({wrong})
    code, status, body = Fetching(near, wrong, tmp_path).end()
    assert (code, status) == (18, "200") and len(body) <= LARGE - HELD_BACK
    # Passage.receive: of what doesn't say how much it is, a client wouldn't see a cut.
    impostor.answer = Chunked({digest})
    status, headers, _ = get(near, digest)
    assert status == 503 and int(headers["Retry-After"]) > 0
    assert [line for line in log_of(near).splitlines() if digest in line and "upstream failed" in line] == []
    impostor.answer = None
    empty = impostor.has(b"")
    assert get(near, empty)[::2] == (200, b"")
    ballast.throw_off()
    assert get(near, digest)[::2] == (200, data)
    assert eventually(near.blob_file(digest).exists)
