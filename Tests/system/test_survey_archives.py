"""`shacache-admin survey` reads what the binary cache promises to be archives, as Python's tarfile does, and each once."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile

import pytest
from stack import Database, Stack
from test_page import entry

RELEASE = {"multiarch": "x86_64-linux-gnu", "os": ["debian", "12", "x"], "software_root": "/opt/slapgrid"}


def tar(*names, size=100_000):
    """Of files with bytes that hardly compress."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            data = hashlib.shake_256(name.encode()).digest(size)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("archives"), WORKERS="1", ANONYMOUS="1") as stack:
        yield stack


def release(stack, url, make):
    """Puts a release there, of which `make` makes the blob from its key; returns the entry's number, key and blob."""
    key = hashlib.md5(url.encode()).hexdigest()
    return entry(stack, key, {**RELEASE, "software_url": url}, data=(data := make(key))), key, data


def is_readable(data, key):
    """What Python says."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            return any(name.removeprefix("./").split("/")[0] == key for name in archive.getnames())
    except (tarfile.TarError, OSError, EOFError, lzma.LZMAError, ValueError):
        return False


# What is wrong, as the report says it; None: nothing is.
BLOBS = {
    "gzip": (lambda key: gzip.compress(tar(f"{key}/a", f"{key}/b")), None),
    "plain": (lambda key: tar(f"{key}/a"), None),
    "bzip2": (lambda key: bz2.compress(tar(f"{key}/a")), None),
    "xz": (lambda key: lzma.compress(tar(f"{key}/a")), None),
    "with a dot": (lambda key: gzip.compress(tar(f"./{key}/a")), None),
    "another top": (lambda key: gzip.compress(tar("other/a")), "it has no KEY/"),
    "text": (lambda key: f"not found: {key}".encode(), "Unrecognized archive format"),
    "gzip of text": (lambda key: gzip.compress(b"not found " + key.encode()), "Unrecognized archive format"),
    "a cut gzip": (lambda key: gzip.compress(tar(f"{key}/a", size=300_000))[:200_000], "truncated gzip input"),
    "a cut xz": (lambda key: lzma.compress(tar(f"{key}/a", size=300_000))[:200_000], "No progress is possible"),
    "a cut tar": (lambda key: tar(f"{key}/a")[:50_000], "Truncated tar archive"),
    "damaged gzip": (lambda key: damaged(gzip.compress(tar(f"{key}/a"))), "Unrecognized archive format"),
    "empty": (lambda key: b"", "Unrecognized archive format"),
    # ArchiveInspection.swift: `archive_read_append_filter`, without which libarchive takes any number of filters.
    "gzip in gzip": (lambda key: gzip.compress(gzip.compress(tar(f"{key}/a"))), "Unrecognized archive format"),
}


def damaged(data):
    # A block type that deflate doesn't have.
    return data[:10] + b"\xff" + data[11:]


def said(stack, report="unreadable-archives"):
    return {row["entry_id"]: row for row in json.loads(stack.admin("report", report, "--json").stdout)}


# ArchiveInspection.swift: without a filter or the look for its top, one of these is judged otherwise.
def test_each_archive_that_tarfile_cannot_read_is_named(cache):
    numbers = {name: release(cache, f"https://example.org/{name}", make) for name, (make, _) in BLOBS.items()}
    # No releases, whatever their blobs are.
    others = [entry(cache, "pypi:a=1", {**RELEASE, "software_url": "https://a"}, data=b"x"),
              entry(cache, "0" * 32, {"software_url": "https://a"}, data=b"y")]
    rows = said(cache)
    assert {number: rows[number]["problem"] for number, *_ in numbers.values()} == {
        number: "not read yet" for number, *_ in numbers.values()}

    done = cache.admin("survey")
    assert "9 archives of compiled releases can't be read" in done.stderr and "not read yet" not in done.stderr
    rows = said(cache)
    for name, (number, key, data) in numbers.items():
        problem = BLOBS[name][1]
        assert is_readable(data, key) == (problem is None), name
        assert (number in rows) == (problem is not None), name
        if problem:
            assert problem.replace("KEY", key) in rows[number]["problem"], name
            assert (rows[number]["account"], rows[number]["software_url"]) == ("demo", f"https://example.org/{name}")
    assert not set(others) & set(rows)
    suspects = [row["entry_id"] for row in json.loads(cache.admin("report", "entries-to-look-into", "--json").stdout)
                if row["reason"] == "unreadable archive"]
    assert set(suspects) == set(rows)


# SurveyCommand.swift: `deadline`, `record`.
def test_what_was_read_is_not_read_again_and_what_is_left_is_said(cache):
    number, key, data = release(cache, "https://example.org/once", lambda key: gzip.compress(tar(f"{key}/once")))
    assert "1 archives of compiled releases were not read yet" in cache.admin("survey", "--archive-seconds", "0").stderr
    assert said(cache)[number]["problem"] == "not read yet"
    cache.admin("survey")
    assert number not in said(cache)
    checked = Database(cache).run("SELECT checked_at FROM shacache.archive_check ORDER BY 1")
    cache.admin("survey")
    assert Database(cache).run("SELECT checked_at FROM shacache.archive_check ORDER BY 1") == checked
    # A withdrawn entry hurts no node.
    worst = next(iter(said(cache)))
    cache.admin("entry", "withdraw", str(worst), "--reason", "it is none")
    assert worst not in said(cache)


def test_what_has_no_file_is_left_for_the_next_time(cache):
    number, key, data = release(cache, "https://example.org/lost", lambda key: gzip.compress(tar(f"{key}/lost")))
    file = cache.blob_file(hashlib.sha512(data).hexdigest())
    file.rename(file.with_suffix(".gone"))
    try:
        assert "not read yet" in cache.admin("survey").stderr
    finally:
        file.with_suffix(".gone").rename(file)
    cache.admin("survey")
    assert number not in said(cache)


# SurveyCommand.swift: `isAsStored`. Such a record would stay when the blob has long been healed.
def test_a_damaged_file_is_left_until_it_is_healed(cache):
    number, key, data = release(cache, "https://example.org/rotten", lambda key: gzip.compress(tar(f"{key}/rotten")))
    file = cache.blob_file(hashlib.sha512(data).hexdigest())
    file.chmod(0o640)
    file.write_bytes(data[:50_000])
    cache.admin("survey")
    assert said(cache)[number]["problem"] == "not read yet"
    file.write_bytes(data)
    cache.admin("survey")
    assert number not in said(cache)
