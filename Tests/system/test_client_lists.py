"""`shacache upload` of many files asks in lists (POST /-/have) where a server takes them, and else one by one."""

import hashlib
import json
import os
import time

import pytest
from deployed import metadata_of
from impostor import read, reply
from node import DONE, FAILED, assert_ended

HAVE = "/shacache/-/have"


def name_of(data):
    return hashlib.sha512(data).hexdigest()


def make(node, *names, size=100):
    """Files of random bytes, by their names."""
    files = {name: os.urandom(size) for name in names}
    for name, data in files.items():
        (node.directory / name).write_bytes(data)
    return files


class Lists:
    """Answers lists for an impostor, of what it has."""

    def __init__(self, impostor):
        self.impostor = impostor
        self.asked = []  # the names of each list
        self.refusals = []  # what is answered first: (status, body, headers) each
        self.meanwhile = lambda: None
        self.answers = lambda names: [self.line(name) for name in names]
        impostor.answer = self

    def line(self, name):
        data = self.impostor.blobs.get(name)
        return "no" if data is None else f"yes {len(data)} 0"

    def __call__(self, handler):
        if handler.path != HAVE:
            return None
        assert handler.command == "POST"
        names = read(handler).decode().splitlines()
        if self.refusals:
            return reply(handler, *self.refusals.pop(0))
        self.asked.append(names)
        self.meanwhile()
        body = "".join(f"{line}\n" for line in self.answers(names))
        return reply(handler, 200, body.encode())


@pytest.fixture
def lists(impostor):
    return Lists(impostor)


def test_many_files_are_asked_for_and_read_back_in_lists(deceived, impostor, lists):
    files = make(deceived, *[f"file-{number}" for number in range(300)])
    there = list(files)[::3]
    for name in there:
        impostor.has(files[name])
    done = assert_ended(deceived.run("upload", *files), DONE, "300 of 300")
    assert done.stdout.decode().splitlines() == [f"{name_of(data)}  {name}" for name, data in files.items()]
    assert sorted(impostor.blobs) == sorted(map(name_of, files.values()))
    assert impostor.asked("HEAD") == [] and impostor.asked("GET") == []
    assert len(impostor.asked("POST")) == 200 + len(lists.asked)
    # Each once before; what was sent, once more behind.
    asked = [name for names in lists.asked for name in names]
    assert len(asked) == 500 and set(asked) == set(impostor.blobs)
    report = deceived.json("upload", *files)
    assert {row["blob"] for row in report} == {"was there"} and len(impostor.asked("POST")) == 200 + len(lists.asked)


def test_through_the_real_server_too(stack, node):
    files = make(node, *[f"file-{number}" for number in range(50)])
    first, second = node.json("upload", *files), node.json("upload", *files)
    assert [row["sha512"] for row in first] == [row["sha512"] for row in second] == list(map(name_of, files.values()))
    assert {row["blob"] for row in first} == {"sent"} and {row["blob"] for row in second} == {"was there"}
    for data in files.values():
        assert stack.request("GET", f"/shacache/{name_of(data)}")[2] == data


@pytest.mark.parametrize("status, body", [
    (404, b"nothing is here\n"), (405, b""), (403, b""), (411, b""), (501, b""), (500, b""), (503, b""), (302, b""),
    (200, b"<html>\n</html>\n"), (200, b""), (201, name_of(b"the list").encode())])
def test_a_server_that_takes_no_lists_is_asked_one_by_one(deceived, impostor, lists, status, body):
    lists.refusals = [(status, body)] * 99
    files = make(deceived, "a", "b", "c")
    impostor.has(files["b"])
    report = deceived.json("upload", *files)
    assert [row["blob"] for row in report] == ["sent", "was there", "sent"]
    assert len(impostor.asked("POST", HAVE)) == 1
    # Before each, and behind what was sent.
    assert len(impostor.asked("HEAD")) == 5


def test_one_file_is_asked_for_by_itself(deceived, impostor, lists):
    make(deceived, "a")
    assert_ended(deceived.run("upload", "a"), DONE)
    assert lists.asked == [] and len(impostor.asked("HEAD")) == 2


def test_a_busy_server_is_asked_again_when_it_says(deceived, impostor, lists):
    files = make(deceived, "a", "b", "c", "d")
    lists.meanwhile = lambda: lists.refusals.append((429, b"too many", {"Retry-After": "1"})) if len(lists.asked) == 1 else None
    assert_ended(deceived.run("upload", "-v", *files), DONE, "tries again in 1 s")
    assert impostor.asked("HEAD") == []


def test_what_was_accepted_and_is_not_there_is_no_success(deceived, lists):
    files = make(deceived, "a", "b", "c")
    lost, short = name_of(files["a"]), name_of(files["b"])
    right = lists.line
    lists.line = lambda name: "no" if name == lost else right(name).replace("yes 100 ", "yes 99 ") if name == short else right(name)
    done = assert_ended(deceived.run("upload", *files), FAILED, "not there after the cache accepted it")
    assert b"has 99 bytes after 100 were accepted" in done.stderr and b"1 of 3 are in the cache" in done.stderr
    assert done.stdout.decode() == f"{name_of(files['c'])}  c\n"


def test_a_file_that_changes_after_it_was_hashed_is_refused(deceived, impostor, lists):
    files = make(deceived, "a", "b", "c")
    impostor.has(files["c"])
    old = {name: (deceived.directory / name).stat().st_mtime_ns for name in "ac"}

    def change():
        for name in "ac":
            (deceived.directory / name).write_bytes(bytes(100))
            os.utime(deceived.directory / name, ns=(old[name] + 10**9, old[name] + 10**9))

    lists.meanwhile = lambda: change() if len(lists.asked) == 1 else None
    # All are hashed before the first answer, or the later ones are simply other files.
    lists.answers = lambda names: time.sleep(0.5) or [lists.line(name) for name in names]
    done = deceived.run("upload", *files)
    refused = done.stderr.decode().count("changed while it was read")
    assert done.returncode == FAILED and refused >= 1, done
    assert name_of(files["a"]) not in impostor.blobs


def test_twice_the_same_bytes_are_one_blob(deceived, impostor, lists):
    (deceived.directory / "a").write_bytes(b"same")
    (deceived.directory / "b").write_bytes(b"same")
    report = deceived.json("upload", "--jobs", "1", "a", "b")
    assert [row["sha512"] for row in report] == [name_of(b"same")] * 2
    assert sorted(row["blob"] for row in report) == ["sent", "was there"]


def test_what_is_no_plain_file_goes_along(stack, node):
    files = make(node, "plain", "other")
    (node.directory / "tree").mkdir()
    (node.directory / "empty").write_bytes(b"")
    os.mkfifo(node.directory / "pipe")
    with node.start("upload", "--json", "plain", "tree", "missing", "empty", "pipe", "other") as client:
        with open(node.directory / "pipe", "wb") as pipe:
            pipe.write(b"through the pipe")
        output, error = client.communicate(timeout=30)
    rows = json.loads(output)
    assert client.returncode == FAILED and b"5 of 6" in error
    assert [row.get("sha512") for row in rows][0::5] == [name_of(files["plain"]), name_of(files["other"])]
    assert "missing" in rows[2]["error"] and rows[4]["sha512"] == name_of(b"through the pipe")
    assert rows[3]["sha512"] == name_of(b"")


def test_entries_of_one_key_are_read_once_before_and_once_behind(deceived, impostor, lists):
    files = make(deceived, *"abcdef")
    assert_ended(deceived.run("upload", "-k", "key", *files), DONE, "6 of 6")
    assert len(impostor.asked("PUT")) == 6 and len(impostor.asked("GET", "/shadir/key")) == 2
    assert len(impostor.listings["key"]) == 6
    assert_ended(deceived.run("upload", "-k", "key", *files), DONE, "was listed under key")
    assert len(impostor.asked("PUT")) == 6 and len(impostor.asked("GET", "/shadir/key")) == 3


def test_a_lookup_asks_for_all_blobs_at_once(deceived, impostor, lists):
    there = impostor.has(b"there")
    impostor.listings["key"] = [[metadata_of(digest), ""] for digest in (there, "0" * 128)]
    rows = deceived.json("lookup", "-k", "key", status=4)["entries"]
    assert len(lists.asked) == 1 and impostor.asked("HEAD") == []
    lists.refusals = [(404, b"")]
    assert deceived.json("lookup", "-k", "key", status=4)["entries"][1] == rows[1]
    assert len(impostor.asked("HEAD")) == 2
