"""`shacache-admin survey`: what lies in the store, beside what the database says of it."""

import hashlib
import json
import os
import subprocess
import threading
import time

import pytest
from stack import REPOSITORY, Database, Stack

KINDS = ["referenced", "unreferenced", "withdrawn", "exposed", "damaged", "quarantined", "trash", "journal", "arriving", "orphan", "temporary", "unknown", "directory"]
OLD = time.time() - 25 * 3600


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A cache that these tests share; each leaves its store in order."""
    with Stack(tmp_path_factory.mktemp("surveyed"), ANONYMOUS="1") as stack:
        yield stack


def survey(stack, prefix=()):
    """{kind: (files, bytes, allocated)}; run by the words in `prefix`."""
    words = [*prefix, REPOSITORY / ".build/release/shacache-admin", "survey", "--json", "--config"]
    done = subprocess.run([*words, stack.state / "shacache.toml"], capture_output=True, check=True)
    rows = json.loads(done.stdout)
    assert [row["kind"] for row in rows] == [*KINDS, "total", "dangling"]
    return {row["kind"]: (row["files"], row["bytes"], row["allocated"]) for row in rows}


def differences(stack, make):
    """By how many files and bytes each kind grows by what `make` does, where it does."""
    before = survey(stack)
    make()
    after = survey(stack)
    return {
        kind: (after[kind][0] - before[kind][0], after[kind][1] - before[kind][1])
        for kind in [*KINDS[:-1], "dangling"] if after[kind] != before[kind]}


def findings(stack):
    return Database(stack).run(
        "SELECT kind, name, bytes, detail FROM report.survey_findings", role="shacache_report")


def du(stack):
    """What du(1) says that the disk gave for the store."""
    done = subprocess.run(
        ["du", "--summarize", "--block-size=1", stack.store], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def place(stack, data, digest=None, old=True):
    """Puts a file among the blobs that nobody uploaded."""
    file = stack.blob_file(digest or hashlib.sha512(data).hexdigest())
    file.write_bytes(data)
    if old:
        os.utime(file, (OLD, OLD))
    return file


def withdraw(stack, digest):
    Database(stack).run(
        f"""INSERT INTO shacache.withdrawal (actor, target, reason) VALUES ('root', 'blob', 'test');
            UPDATE shacache.blob SET withdrawal_id = (SELECT max(id) FROM shacache.withdrawal)
            WHERE sha512 = '\\x{digest}'""")


# Each kind


def test_a_blob_is_referenced_when_a_visible_entry_names_it(stack):
    digests = []
    assert differences(stack, lambda: digests.append(stack.upload(os.urandom(5000)))) == {"unreferenced": (1, 5000)}
    key = f"k{os.urandom(4).hex()}"
    entry = lambda: stack.index(key, json.dumps({"sha512": digests[0]}))
    grown = differences(stack, entry)
    assert grown.pop("journal")[1] > 0 and grown == {"unreferenced": (-1, -5000), "referenced": (1, 5000)}
    hide = lambda: Database(stack).run(
        f"""INSERT INTO shacache.withdrawal (actor, target, reason) VALUES ('root', 'entries', 'test');
            UPDATE shacache.entry SET withdrawal_id = (SELECT max(id) FROM shacache.withdrawal) WHERE key = '{key}'""")
    assert differences(stack, hide) == {"unreferenced": (1, 5000), "referenced": (-1, -5000)}


def test_a_row_without_file_is_dangling(stack):
    digest = stack.upload(b"lost" * 100)
    assert differences(stack, stack.blob_file(digest).unlink) == {"unreferenced": (-1, -400), "dangling": (1, 400)}
    assert ("dangling", digest, "400", "") in findings(stack)
    # So it is, when something else bears its name.
    stack.blob_file(digest).symlink_to("/dev/null")
    assert survey(stack)["dangling"][0] == 1
    stack.blob_file(digest).unlink()
    stack.upload(b"lost" * 100)
    assert survey(stack)["dangling"] == (0, 0, 0)


# StoreWalk.addWithoutRow: an upload's file is there before its row.
def test_a_file_without_row_is_an_orphan_when_it_is_a_day_old(stack):
    data = os.urandom(3000)
    assert differences(stack, lambda: place(stack, data, old=False)) == {"arriving": (1, 3000)}
    file = stack.blob_file(hashlib.sha512(data).hexdigest())
    assert findings(stack) == []
    grow_old = lambda: os.utime(file, (OLD, OLD))
    assert differences(stack, grow_old) == {"arriving": (-1, -3000), "orphan": (1, 3000)}
    assert findings(stack) == [("orphan", f"blobs/{file.parent.name}/{file.name}", "3000", "")]
    # The upload that comes later makes it a blob.
    assert differences(stack, lambda: stack.upload(data)) == {"orphan": (-1, -3000), "unreferenced": (1, 3000)}


def test_a_file_of_another_size_is_damaged(stack):
    digest = stack.upload(b"x" * 9000)
    file = stack.blob_file(digest)
    file.chmod(0o640)
    cut = lambda: os.truncate(file, 1234)
    assert differences(stack, cut) == {"unreferenced": (-1, -9000), "damaged": (1, 1234)}
    assert findings(stack) == [
        ("damaged", f"blobs/{digest[:2]}/{digest}", "1234", "has 1234 bytes, and was stored with 9000")]
    stack.upload(b"x" * 9000)
    assert findings(stack) == findings(stack)[:1]  # of the survey before
    assert survey(stack)["damaged"] == (0, 0, 0) and findings(stack) == []


def test_withdrawn_blobs_lie_apart(stack):
    (stack.store / "withdrawn").mkdir(exist_ok=True)
    digest = stack.upload(b"w" * 700)
    hidden = stack.store / "withdrawn" / digest

    def hide():
        withdraw(stack, digest)
        stack.blob_file(digest).rename(hidden)

    assert differences(stack, hide) == {"unreferenced": (-1, -700), "withdrawn": (1, 700)}
    assert differences(stack, hidden.unlink) == {"withdrawn": (-1, -700), "dangling": (1, 700)}
    hidden.write_bytes(b"w" * 699)
    assert survey(stack)["damaged"] == (1, 699, 4096)
    hidden.write_bytes(b"w" * 700)
    assert survey(stack)["withdrawn"] == (1, 700, 4096) and findings(stack) == []
    # StoreWalk.addVisible: out of a backup, say.
    hidden.rename(stack.blob_file(digest))
    assert survey(stack)["exposed"] == (1, 700, 4096) and survey(stack)["withdrawn"] == survey(stack)["dangling"] == (0, 0, 0)
    assert findings(stack) == [("exposed", f"blobs/{digest[:2]}/{digest}", "700", "")]
    stack.blob_file(digest).rename(hidden)
    # StoreWalk.lookUpAgain: without the look at both places, a blob whose file was moved and whose row was not yet would dangle.
    moving = stack.upload(os.urandom(300))
    place = stack.blob_file(moving)
    os.utime(place, (OLD, OLD))
    move = lambda: place.rename(stack.store / "withdrawn" / moving)
    assert differences(stack, move) == {"unreferenced": (-1, -300), "withdrawn": (1, 300)}
    (stack.store / "withdrawn" / moving).rename(place)
    # And the file of one that nobody knows.
    stranger = stack.store / "withdrawn" / hashlib.sha512(b"?").hexdigest()
    stranger.write_bytes(b"?")
    os.utime(stranger, (OLD, OLD))
    assert survey(stack)["orphan"] == (1, 1, 4096)
    stranger.unlink()


def test_bodies_in_the_spool_are_temporary(stack):
    file = stack.spool / "0000000099"
    assert differences(stack, lambda: file.write_bytes(b"b" * 100)) == {"temporary": (1, 100)}
    # With a second name, as one has while it is published, it is counted once.
    digest = stack.upload(os.urandom(8000))
    os.link(stack.blob_file(digest), stack.spool / "publish-1-1")
    assert survey(stack)["temporary"] == (2, 100, 4096)
    assert survey(stack)["total"][2] == du(stack)
    file.unlink()
    (stack.spool / "publish-1-1").unlink()


def test_what_is_not_ours_is_unknown_and_named(stack):
    digest = hashlib.sha512(b"elsewhere").hexdigest()
    wrong = "00" if digest[:2] != "00" else "01"
    made = {
        f"blobs/{wrong}/{digest}": 10, f"blobs/{digest[:2]}/{digest.upper()}": 11, f"blobs/{digest[:2]}/x": 12,
        "blobs/xyz": 13, "blobs/lost": 0, "strange": 14, "deep/er/and/deeper": 15, "incoming/sub/er/file": 16, "withdrawn/README": 17}
    for name, size in made.items():
        file = stack.store / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"u" * size)
    (stack.store / "deep/link").symlink_to("/etc/passwd")
    os.mkfifo(stack.spool / "pipe")
    raw = os.fsencode(stack.store) + b"/deep/\xff\n"
    open(raw, "wb").close()
    found = survey(stack)
    assert found["unknown"][:2] == (len(made) + 3, sum(made.values()) + len("/etc/passwd"))
    assert found["total"][2] == du(stack)
    named = {name for kind, name, _, _ in findings(stack) if kind == "unknown"}
    assert set(made) | {"deep/link", str((stack.spool / "pipe").relative_to(stack.store))} < named and len(named) == len(made) + 3
    for name in made:
        (stack.store / name).unlink()
    os.unlink(raw)
    (stack.store / "deep/link").unlink()
    (stack.spool / "pipe").unlink()
    for name in "deep/er/and", "deep/er", "deep", "incoming/sub/er", "incoming/sub":
        (stack.store / name).rmdir()


def test_of_each_kind_a_hundred_are_named(stack):
    for number in range(150):
        (stack.store / f"u{number}").touch()
    assert survey(stack)["unknown"] == (150, 0, 0)
    assert len(findings(stack)) == 100
    for number in range(150):
        (stack.store / f"u{number}").unlink()


# BlobRows.forEachPage: rows come ten thousand at a time.
def test_a_shelf_may_have_more_rows_than_are_fetched_at_once(stack):
    database = Database(stack)
    database.run(
        """INSERT INTO shacache.blob (sha512, size, account_id)
           SELECT shelf || substring(sha512(number::text::bytea) FROM 2), 1, (SELECT min(id) FROM shacache.account)
           FROM generate_series(1, 10500) AS number, unnest(ARRAY['\\x00', '\\xff']::bytea[]) AS shelf""")
    found = survey(stack)
    assert found["dangling"] == (21_000, 21_000, 0)
    assert len(findings(stack)) == 100
    database.run("DELETE FROM shacache.blob WHERE size = 1")


# The whole


def test_the_kinds_add_up_to_what_du_says(stack):
    for size in 0, 1, 4096, 4097, 1_000_000:
        stack.upload(os.urandom(size))
    place(stack, os.urandom(6000))
    sparse = stack.store / "sparse"
    with open(sparse, "wb") as file:
        file.truncate(10 << 20)
        file.seek(5 << 20)
        file.write(b"x")
    found = survey(stack)
    assert sum(found[kind][2] for kind in KINDS) == found["total"][2] == du(stack)
    assert found["total"][0] == sum(found[kind][0] for kind in KINDS)
    assert found["unknown"][1] == 10 << 20 > found["unknown"][2] > 0
    # The reports say the same.
    rows = Database(stack).run("SELECT kind, files, bytes, allocated FROM report.usage", role="shacache_report")
    assert {kind: tuple(map(int, row)) for kind, *row in rows} == found
    (row,) = Database(stack).run(
        """SELECT files, bytes, allocated, findings, filesystem_bytes >= free_bytes, free_bytes > 0,
           filesystem_inodes >= free_inodes FROM report.surveys LIMIT 1""", role="shacache_report")
    assert tuple(map(int, row[:3])) == found["total"]
    assert row[3:] == (str(found["orphan"][0] + found["unknown"][0]), "t", "t", "t")
    blocks = os.statvfs(stack.store)
    (size,), = Database(stack).run("SELECT filesystem_bytes FROM report.surveys LIMIT 1")
    assert int(size) == blocks.f_blocks * blocks.f_frsize
    sparse.unlink()


def test_surveys_are_kept_and_the_newest_of_the_period_counts(stack):
    database = Database(stack)
    before = survey(stack)
    database.run("UPDATE shacache.survey SET at = at - interval '2 years', started_at = started_at - interval '2 years'")
    stack.upload(os.urandom(100))
    survey(stack)
    files = "SELECT files FROM report.usage WHERE kind = 'total'"
    assert database.run(files) == [(str(before["total"][0] + 1),)]
    year_ago = "SET report.until = '%s';" % time.strftime("%Y-%m-%d", time.gmtime(time.time() - 365 * 86400))
    assert database.run(year_ago + files) == [(str(before["total"][0]),)]
    assert database.run("SELECT count(*) FROM report.surveys WHERE at > now() - interval '1 year'") == [("1",)]
    assert int(database.run("SELECT count(*) FROM report.surveys")[0][0]) > 1
    # Another machine's store beside it.
    stack.admin("survey", "--host", "other")
    assert len(database.run(files)) == 2


def test_nothing_is_changed(stack):
    def state():
        return {
            path: (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)
            for path in stack.store.rglob("*") for status in [path.lstat()]}

    before = state()
    survey(stack)
    assert state() == before


def test_a_store_that_is_not_there_is_said(stack):
    moved = stack.store.with_name("elsewhere")
    stack.store.rename(moved)
    done = stack.admin("survey", check=False)
    moved.rename(stack.store)
    assert done.returncode == 1 and f"{stack.store}: " in done.stderr, done


# The shelf on which all that is uploaded meanwhile lies, and the calls that read it and its neighbours.
SHELF, READING_IT = 0x80, "250..264"


def of_the_shelf():
    while hashlib.sha512(data := os.urandom(200)).digest()[0] != SHELF:
        pass
    return data


# StoreWalk: without lookUpAgain, what was uploaded between reading the directory and asking the database
# would dangle. strace makes that a long while.
def test_uploads_under_way_are_no_alarm(stack):
    stop = threading.Event()
    uploaded = []

    def keep_uploading():
        while not stop.is_set():
            uploaded.append(stack.upload(of_the_shelf()))

    before = survey(stack)
    assert before["dangling"] == before["damaged"] == before["unknown"] == (0, 0, 0)
    threads = [threading.Thread(target=keep_uploading) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        slowly = ["strace", "-f", "-o", "/dev/null", "-e", "trace=getdents64", "-e",
                  f"inject=getdents64:delay_exit=300000:when={READING_IT}"]
        found = survey(stack, slowly)
        meanwhile = len(uploaded)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert meanwhile > 50
    for kind in "dangling", "damaged", "unknown", "orphan":
        assert found[kind] == before[kind], (kind, findings(stack))
    after = survey(stack)
    assert after["unreferenced"][0] == before["unreferenced"][0] + len(set(uploaded))
    assert after["arriving"] == before["arriving"] and after["total"][2] == du(stack)


def test_withdrawals_under_way_are_no_alarm(stack):
    digest = stack.upload(of_the_shelf())
    before = survey(stack)
    stop = threading.Event()
    turns = 0

    def keep_hiding():
        nonlocal turns
        while not stop.is_set():
            stack.admin("blob", "withdraw", digest, "--reason", "test")
            (number,), = Database(stack).run("SELECT max(id) FROM shacache.withdrawal")
            stack.admin("withdrawal", "lift", number)
            turns += 1

    thread = threading.Thread(target=keep_hiding)
    thread.start()
    try:
        while turns < 10 and thread.is_alive():
            found = survey(stack)
            for kind in "dangling", "damaged", "unknown", "orphan":
                assert found[kind] == before[kind], (kind, findings(stack))
    finally:
        stop.set()
        thread.join()
    assert turns >= 10
    assert survey(stack)["unreferenced"] == before["unreferenced"]
