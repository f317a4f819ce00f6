"""`shacache-admin scrub`: all bytes are read again, from the disk; what is damaged is out of sight at once, and heals."""

import hashlib
import json
import os
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from exposition import scrape
from stack import REPOSITORY, Database, Stack, eventually
from test_database_away import stopped_database, wait_for_database

ADMIN = REPOSITORY / ".build/release/shacache-admin"
HOST = os.uname().nodename


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A cache of this module's own."""
    with Stack(tmp_path_factory.mktemp("scrubbed"), ANONYMOUS="1") as stack:
        yield stack


def scrub(stack, *words, check=True):
    """The sums, and what is said beside."""
    done = stack.admin("scrub", "--within", "1", "--json", *words, check=False)
    (sums,) = json.loads(done.stdout)
    assert done.returncode == (1 if sums["open"] else 0) or not check, done
    return sums, done.stderr


def damage(file):
    """Another byte in the middle."""
    file.chmod(0o640)
    with open(file, "r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        byte = opened.read(1)
        opened.seek(-1, os.SEEK_CUR)
        opened.write(bytes([byte[0] ^ 1]))


def get(stack, digest):
    return stack.request("GET", f"/shacache/{digest}")


def have(stack, digest):
    status, _, body = stack.request("POST", "/-/have", f"shacache/{digest}\n")
    assert status == 200
    return body


def quarantined(stack, digest):
    return stack.store / "quarantine" / digest


def report(stack):
    return {row["sha512"]: row for row in json.loads(stack.admin("report", "damaged-blobs", "--json").stdout)}


# In both ways of serving. Fails without the verb quarantine, or without LocalBlobs.quarantine's rename.
@pytest.mark.parametrize("settings", [{}, {"DIRECT": "1"}], ids=["accelerated", "direct"])
def test_a_changed_byte_is_found_and_out_of_sight_until_an_upload_heals_it(start, settings):
    stack = start(ANONYMOUS="1", **settings)
    body, other = os.urandom(3_000_000), os.urandom(5000)
    digest, intact = stack.upload(body), stack.upload(other)
    stack.index("some-key", json.dumps({"sha512": digest}))
    damage(stack.blob_file(digest))
    # Nothing else notices: the size is right.
    assert get(stack, digest)[0] == 200
    sums, said = scrub(stack)
    assert (sums["damaged"], sums["open"], sums["complete"]) == (1, 1, "yes")
    assert f"damaged: {digest}: has other bytes than its name says" in said
    eventually(lambda: get(stack, digest)[0] == 404)
    assert get(stack, intact)[::2] == (200, other)
    assert have(stack, digest) != have(stack, intact)
    assert quarantined(stack, digest).stat().st_size == len(body)
    found = report(stack)[digest]
    assert found["account"] == "demo" and found["healed_at"] is None
    assert (found["bytes"], found["entries"], found["host"], found["is_quarantined"]) == (len(body), 1, HOST, True)
    metrics = scrape(stack)
    assert metrics.value("shacache_scrub_open_findings") == metrics.value("shacache_scrub_findings_total") == 1
    assert Database(stack).run(f"SELECT action FROM shacache.audit WHERE subject = '{digest}'") == [("blob quarantine",)]
    assert dict((row["kind"], row["files"]) for row in json.loads(stack.admin("survey", "--json").stdout))["quarantined"] == 1
    assert stack.upload(body) == digest
    eventually(lambda: get(stack, digest)[::2] == (200, body))
    sums, _ = scrub(stack, "--seconds", "0")
    assert (sums["open"], sums["files"]) == (0, 0)
    assert report(stack)[digest]["healed_by"] == "an upload"
    assert not quarantined(stack, digest).exists()
    metrics = scrape(stack)
    assert (metrics.value("shacache_scrub_open_findings"), metrics.value("shacache_scrub_findings_total")) == (0, 1)


# Scrub.heal, HealingSource: neither needs to be trusted.
def test_another_store_a_tree_of_files_or_another_cache_heals_what_is_damaged_or_lost(two, stack, tmp_path):
    bodies = [os.urandom(70_000) for _ in range(4)]
    digests = [two.upload(body) for body in bodies]
    for body in bodies:
        stack.upload(body)
    # The third is withdrawn, and healed where no reader looks.
    two.admin("blob", "withdraw", digests[2], "--reason", "test")
    hidden = two.store / "withdrawn" / digests[2]

    def spoil():
        damage(two.blob_file(digests[0]))
        two.blob_file(digests[1]).unlink()
        damage(hidden)
        two.blob_file(digests[3]).unlink()

    def are_healed():
        assert [get(two, digests[n])[2] for n in (0, 1, 3)] == [bodies[0], bodies[1], bodies[3]]
        assert hidden.read_bytes() == bodies[2] and not two.blob_file(digests[2]).exists()
        owner = (two.store / "blobs").stat()
        for file in (two.blob_file(digests[0]), hidden):
            status = file.stat()
            assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (owner.st_uid, owner.st_gid, 0o440)
        assert list(two.spool.iterdir()) == []

    spoil()
    # Wrong bytes, the right ones in the layout of a store, and nothing of the others.
    (tmp_path / "blobs" / digests[1][:2]).mkdir(parents=True)
    (tmp_path / "blobs" / digests[1][:2] / digests[1]).write_bytes(bodies[1])
    (tmp_path / digests[0]).write_bytes(bodies[1])
    sums, said = scrub(two, "--from", tmp_path)
    assert (sums["damaged"], sums["healed"], sums["open"]) == (2, 1, 2)
    assert f"not healed: {digests[0]}: what is there has other bytes than its name says" in said
    assert f"not healed: {digests[3]}: {tmp_path}: has no such file" in said
    assert get(two, digests[0])[0] == 404 and get(two, digests[1])[2] == bodies[1]
    for digest, body in zip(digests, bodies):
        (tmp_path / digest).write_bytes(body)
    sums, _ = scrub(two, "--seconds", "0", "--from", tmp_path)
    assert (sums["healed"], sums["open"]) == (3, 0)
    are_healed()
    assert report(two)[digests[0]]["healed_by"] == str(tmp_path)
    spoil()
    sums, said = scrub(two, "--from", f"http://localhost:{stack.settings['HTTP_PORT']}/shacache/")
    assert (sums["healed"], sums["open"]) == (4, 0), said
    are_healed()
    # One that doesn't answer is said, and nothing else.
    two.blob_file(digests[3]).unlink()
    sums, said = scrub(two, "--seconds", "0", "--from", "http://localhost:1/shacache")
    assert sums["healed"] == 0 and f"not healed: {digests[3]}: " in said
    two.upload(bodies[3])


def of_a_shelf(first, count):
    """Bodies of a thousand bytes whose digests begin with that byte, in the order of their digests."""
    found = []
    while len(found) < count:
        if hashlib.sha512(body := os.urandom(1000)).digest()[0] == first:
            found.append(body)
    return sorted(found, key=lambda body: hashlib.sha512(body).digest())


@contextmanager
def slow_scrub(stack, *words, **how):
    """One that reads a thousand bytes in a second, when it has begun with the blobs."""
    with open(stack.state / "scrub.err", "w") as said:
        process = subprocess.Popen(
            [ADMIN, "scrub", "--within", "1", "--rate", "1000", *words, "--config", stack.state / "shacache.toml"],
            stdout=subprocess.DEVNULL, stderr=said, **how)
    try:
        eventually(lambda: Database(stack).run("SELECT shelf FROM shacache.scrub_shelf WHERE started_at IS NOT NULL"))
        yield process
    finally:
        process.kill()
        process.wait()


def position(stack):
    """Of the shelf that is being read, in hex."""
    rows = Database(stack).run("SELECT encode(position, 'hex') FROM shacache.scrub_shelf WHERE position IS NOT NULL")
    return rows[0][0] if rows else None


def scrub_at_last(stack, *words):
    """When the database has noticed that the one before is gone."""
    return eventually(lambda: (done := stack.admin("scrub", "--within", "1", "--json", *words, check=False)).returncode == 0
                      and json.loads(done.stdout)[0])


# ScrubShelves.record and .claim.
def test_one_that_was_killed_goes_on_where_it_was(start):
    stack = start(WORKERS="1")
    bodies = of_a_shelf(0x80, 100)
    digests = [stack.upload(body) for body in bodies]
    with slow_scrub(stack) as process:
        reached = eventually(lambda: position(stack), 60)
        process.kill()
        process.wait()
    assert reached in digests and 0 < (read := digests.index(reached) + 1) < 100
    all_files = sum(len(list(shelf.iterdir())) for shelf in (stack.store / "blobs").iterdir())
    before = sum(len(list((stack.store / f"blobs/{n:02x}").iterdir())) for n in range(0x80))
    done = eventually(lambda: (d := stack.admin("scrub", "--json", check=False)).returncode == 0 and json.loads(d.stdout)[0])
    # What the first has read isn't read again by one that isn't told to read all.
    assert (done["files"], done["complete"]) == (all_files - before - read, "yes")
    assert scrub_at_last(stack)["files"] == all_files


# The locks of ScrubShelves and Scrub.init.
def test_a_second_one_ends_on_this_host_and_shares_the_work_on_another(start):
    stack = start(WORKERS="1")
    for body in of_a_shelf(0, 200):
        stack.upload(body)
    with slow_scrub(stack):
        second = stack.admin("scrub", check=False)
        assert (second.returncode, second.stderr) == (1, f"shacache-admin: a scrub runs on {HOST} already\n")
        other, _ = scrub(stack, "--host", "other")
        assert (other["shelves"], other["complete"]) == (256, "yes")
    assert Database(stack).run("SELECT shelf FROM shacache.scrub_shelf WHERE finished_at IS NULL") == [("0",)]
    assert sorted(Database(stack).run("SELECT DISTINCT host FROM shacache.scrub_shelf")) == sorted([(HOST,), ("other",)])


# Scrub.requireSession.
def test_without_the_database_it_stops_and_goes_on_later(start):
    stack = start(WORKERS="1")
    digests = [stack.upload(body) for body in of_a_shelf(0, 100)]
    with slow_scrub(stack) as process:
        eventually(lambda: position(stack), 60)
        with stopped_database(stack):
            assert process.wait(60) == 1
    said = (stack.state / "scrub.err").read_text()
    assert re.fullmatch(r"shacache-admin: [^\n]+\n", said), said
    wait_for_database(stack)
    reached = position(stack)
    assert reached in digests
    all_files = sum(len(list(shelf.iterdir())) for shelf in (stack.store / "blobs").iterdir())
    done = eventually(lambda: (d := stack.admin("scrub", "--json", check=False)).returncode == 0 and json.loads(d.stdout)[0])
    assert done["files"] == all_files - digests.index(reached) - 1


# yieldToOthers.
@pytest.mark.parametrize("is_service", [True, False])
def test_a_session_of_its_own_gives_way_to_all_others_and_a_shells_stays_as_it_is(start, is_service):
    stack = start(WORKERS="1")
    for body in of_a_shelf(0, 20):
        stack.upload(body)
    with slow_scrub(stack, start_new_session=is_service) as process:
        group = Path(f"/proc/{process.pid}/autogroup")
        if not group.exists():
            pytest.skip("the kernel has no groups of sessions")
        if is_service:
            assert group.read_text().split()[-1] == "19"
        else:
            # Empty where no session was begun since the machine was.
            assert group.read_text() == Path("/proc/self/autogroup").read_text()
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 19


def test_it_runs_beside_uploads_and_withdrawals(two):
    bodies = [os.urandom(2000) for _ in range(30)]
    digests = [two.upload(body) for body in bodies]
    with slow_scrub(two, "--rate", "60000"):
        for digest, body in zip(digests, bodies):
            two.upload(body)
            two.admin("blob", "withdraw", digest, "--reason", "test")
    sums = scrub_at_last(two)
    assert sums["damaged"] == 0
    assert scrape(two).value("shacache_scrub_open_findings") == 0


def test_wrong_words_are_refused(two, tmp_path):
    for words in ["--within", "0"], ["--rate", "0"], ["--seconds", "-1"]:
        assert two.admin("scrub", *words, check=False).returncode == 64
    nowhere = two.admin("scrub", "--from", tmp_path / "nowhere", check=False)
    assert nowhere.returncode == 1 and "nowhere: no such file or directory" in nowhere.stderr


# A disk of its own, beneath the page cache of which bytes can be changed.


def place_on_disk(file):
    """The offset of a file's first byte on its device."""
    os.sync()
    extents = subprocess.run(["filefrag", "-v", "-b4096", file], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"^ *0: +\d+\.\. +\d+: +(\d+)\.\.", extents, re.MULTILINE)[1]) * 4096


# Fails without O_DIRECT in UncachedFile.
def test_a_byte_that_changed_on_the_disk_is_found_though_memory_has_the_right_one(on_disk):
    stack, image = on_disk
    body = os.urandom(300_000)
    digest = stack.upload(body)
    file = stack.blob_file(digest)
    assert get(stack, digest)[2] == body
    offset = place_on_disk(file)
    with open(image, "r+b") as disk:
        disk.seek(offset)
        assert disk.read(100) == body[:100]
        disk.seek(offset + 50)
        disk.write(bytes([body[50] ^ 1]))
        disk.flush()
        os.fsync(disk.fileno())
    # What is in memory hides it.
    assert file.read_bytes() == body and get(stack, digest)[2] == body
    sums, _ = scrub(stack)
    assert sums["damaged"] == 1
    assert get(stack, digest)[0] == 404
    # A full disk is in nobody's way here.
    with open(stack.store / "ballast", "wb") as ballast:
        with pytest.raises(OSError):
            while True:
                ballast.write(bytes(1 << 20))
    others = [file for shelf in (stack.store / "blobs").iterdir() for file in shelf.iterdir()]
    damage(others[0])
    sums, _ = scrub(stack)
    assert sums["damaged"] == 1 and not others[0].exists() and sums["complete"] == "yes"
    (stack.store / "ballast").unlink()


def cached_pages(file):
    done = subprocess.run(["fincore", "--raw", "--noheadings", "--output", "PAGES", file], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_what_is_hot_stays_in_memory_and_what_is_not_does_not_come_there(on_disk):
    stack, _ = on_disk
    hot, cold = stack.upload(os.urandom(2 << 20)), stack.upload(os.urandom(2 << 20))
    os.sync()
    descriptor = os.open(stack.blob_file(cold), os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    stack.blob_file(hot).read_bytes()
    assert (cached_pages(stack.blob_file(hot)), cached_pages(stack.blob_file(cold))) == (512, 0)
    scrub(stack)
    assert (cached_pages(stack.blob_file(hot)), cached_pages(stack.blob_file(cold))) == (512, 0)
