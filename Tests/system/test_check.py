"""`shacache-admin check`: the store and the database compared completely, and repaired."""

import hashlib
import json
import os
import signal
import subprocess
import threading
import time

import pytest
from administration import assert_refused
from history import LIST, UPLOAD, History, Load
from stack import REPOSITORY, Database, Stack, eventually
from test_database_away import stopped_database, wait_for_database

KINDS = ["dangling", "damaged", "exposed", "hidden", "trashed", "unreadable", "unconfirmed", "directory", "restoring",
         "leftover", "account-usage", "key-count", "entry-before-blob", "upload-day", "download-month", "archive", "trash-lost",
         "trash-orphan", "orphan", "arriving", "unknown"]
HARMLESS = ["download-month", "archive", "trash-lost", "trash-orphan", "orphan", "arriving", "unknown"]
OLD = time.time() - 25 * 3600


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A cache that these tests share; each leaves it in order."""
    with Stack(tmp_path_factory.mktemp("checked"), ANONYMOUS="1") as stack:
        yield stack


def check(stack, *words, code=0):
    """(findings, {kind: row}), when it exits with this code."""
    done = stack.admin("check", "--json", *words, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert [row["kind"] for row in report["kinds"]] == KINDS
    return report["findings"], {row["kind"]: row for row in report["kinds"]}


def audited(stack):
    return Database(stack).run(
        "SELECT subject, detail FROM shacache.audit WHERE action = 'check repair' ORDER BY id")


def test_a_cache_in_order_is_said_to_be(stack):
    findings, kinds = check(stack, "--deep")
    assert findings == [] and all(row["found"] == 0 and row["mend"] == "" for row in kinds.values())
    done = stack.admin("check")
    assert done.stderr == "all is well\n"
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["KIND", *KINDS]


def test_what_is_found_decides_how_it_exits_and_a_repair_puts_it_right(stack):
    # Fails without CheckCommand.conclude, without a line of StoreCheck.check, and without the role's right to recount_keys.
    lost, hidden = stack.upload(os.urandom(900)), stack.upload(os.urandom(1000))
    stack.index("checked", json.dumps({"sha512": lost}))
    file = stack.blob_file(lost)
    file.rename(stack.store / "aside")
    stack.blob_file(hidden).rename(stack.store / "withdrawn" / hidden)
    Database(stack).run("UPDATE shacache.key_count SET entries = 9 WHERE key = 'checked'")
    before = audited(stack)
    for _ in range(2):
        findings, kinds = check(stack, code=1)
        assert {row["kind"]: row["name"] for row in findings} == {
            "dangling": lost, "hidden": f"withdrawn/{hidden}", "key-count": "checked", "unknown": "aside"}
        assert not any(row["repaired"] for row in findings)
        assert (kinds["dangling"]["bytes"], kinds["dangling"]["repaired"]) == (900, 0)
        assert findings[0]["detail"] == "entries name it under checked"
    done = stack.admin("check", "--list", check=False)
    assert done.returncode == 1
    assert f"dangling {lost}: entries name it under checked\n" in done.stdout
    assert done.stderr == "shacache-admin: 3 faults are left: the column mend says what to do\n"
    assert stack.request("GET", f"/shacache/{hidden}")[0] == 404 and audited(stack) == before
    # What needs the bytes is left.
    findings, kinds = check(stack, "--repair", code=1)
    assert {row["kind"] for row in findings if row["repaired"]} == {"hidden", "key-count"}
    assert audited(stack) == before + [("hidden", "1 of 1"), ("key-count", "1 of 1")]
    assert stack.request("GET", f"/shacache/{hidden}")[0] == 200
    (stack.store / "aside").rename(file)
    assert check(stack, "--repair")[0] == [] and len(audited(stack)) == len(before) + 2


def test_what_is_harmless_is_listed_and_no_failure(stack):
    # Fails without CheckKind.isHarmless.
    orphan = stack.blob_file(hashlib.sha512(b"orphan").hexdigest())
    orphan.write_bytes(b"orphan")
    os.utime(orphan, (OLD, OLD))
    strange = stack.store / "https:__user:secret@example.org"
    strange.touch()
    findings, kinds = check(stack, "--repair")
    assert {row["kind"] for row in findings} == {"orphan", "unknown"} <= set(HARMLESS)
    assert kinds["orphan"]["mend"].startswith("none needed") and orphan.exists() and strange.exists()
    strange.unlink()
    # It is served, so its bytes count.
    orphan.write_bytes(b"0rphan")
    os.utime(orphan, (OLD, OLD))
    assert {row["kind"] for row in check(stack, "--deep", code=1)[0]} == {"orphan", "damaged"}
    orphan.unlink()


def test_a_byte_that_changed_is_found_when_bytes_are_read(stack):
    # Fails without StoreCheck.checkBytes.
    digest = stack.upload(content := os.urandom(5000))
    file = stack.blob_file(digest)
    file.chmod(0o640)
    with open(file, "r+b") as opened:
        opened.write(bytes([content[0] ^ 1]))
    assert check(stack)[0] == []
    for words in ["--deep"], ["--deep", "--repair", "--rate", "1M"]:
        (found,), _ = check(stack, *words, code=1)
        assert (found["kind"], found["repaired"]) == ("damaged", False)
        assert found["detail"] == "has other bytes than its name says"
    assert stack.upload(content) == digest
    assert check(stack, "--deep")[0] == []


def test_a_spool_that_is_missing_is_named_and_made(stack):
    # Fails without the spool in LocalBlobs.neededDirectories: nothing could be uploaded, and all would be well.
    aside = stack.state / "spool"
    stack.spool.rename(aside)
    assert stack.request("GET", "/-/ready")[0] == 503
    (found,), kinds = check(stack, code=1)
    assert (found["kind"], found["name"]) == ("directory", f"incoming/{stack.spool.name}")
    assert kinds["directory"]["mend"].startswith("--repair makes it")
    (found,), _ = check(stack, "--repair")
    assert found["repaired"] and stack.request("GET", "/-/ready")[0] == 200
    stack.upload(os.urandom(1_200_000))
    aside.rmdir()


def test_what_a_restore_that_is_not_through_left_is_said(stack):
    # Fails without LocalBlobs.restoreMark in StoreWalk.
    (stack.store / "restoring").write_text("2026-11-29T203500Z")
    (found,), kinds = check(stack, "--repair", code=1)
    assert (found["kind"], found["name"], found["repaired"]) == ("restoring", "restoring", False)
    assert kinds["restoring"]["mend"].startswith("run that restore again")
    (stack.store / "restoring").unlink()


def test_rows_and_files_of_trash_are_compared(stack):
    # Fails without StoreCheck.checkTrash.
    lost, cut, stray, right = (hashlib.sha512(name).hexdigest() for name in (b"lost", b"cut", b"stray", b"right"))
    files = [stack.store / "trash" / name for name in (cut, stray, right)]
    Database(stack).run(f"""
        WITH far AS (INSERT INTO shacache.upstream (name) VALUES ('far') RETURNING id)
        INSERT INTO shacache.trash (sha512, size, upstream_id, created_at, last_referenced_at, is_shared, policy, moved_at)
        SELECT decode(name, 'hex'), size, id, now(), now(), true, 'old', now()
        FROM far, (VALUES ('{lost}', 4), ('{cut}', 3), ('{right}', 5)) AS removed (name, size)""")
    for file, data in zip(files, (b"c", b"stray", b"right")):
        file.write_bytes(data)
    findings, kinds = check(stack, "--deep", "--repair")
    assert {(row["kind"], row["name"], row["detail"]) for row in findings} == {
        ("trash-lost", lost, "has no file; no entry names it"),
        ("trash-lost", cut, "has 1 bytes, and was stored with 3; no entry names it"), ("trash-orphan", f"trash/{stray}", "")}
    assert kinds["trash-lost"]["bytes"] == 7 and all(file.exists() for file in files)
    Database(stack).run("DELETE FROM shacache.trash; DELETE FROM shacache.upstream")
    for file in files:
        file.unlink()


def test_a_directory_that_is_not_ours_is_named(stack):
    # Fails without the look at what is empty in StoreWalk.addUnknown.
    digest = stack.upload(b"beside")
    strange = [stack.store / name for name in (f"blobs/{digest[:2]}/strange", "withdrawn/deep/er", "lost+found")]
    for directory in strange:
        directory.mkdir(parents=True)
    findings, _ = check(stack)
    # The file system's own is none of these.
    assert {(row["kind"], row["name"]) for row in findings} == {
        ("unknown", f"blobs/{digest[:2]}/strange/"), ("unknown", "withdrawn/deep/er/")}
    for directory in *strange, stack.store / "withdrawn/deep":
        directory.rmdir()


def test_wrong_usage_and_a_store_that_is_not_there_are_said(stack):
    assert_refused(stack.admin("check", "--rate", "0", check=False), "--rate", code=64)
    blobs = stack.store / "blobs"
    blobs.rename(stack.store / "away")
    try:
        assert_refused(stack.admin("check", "--repair", check=False), stack.store, "blobs", "no such file")
        assert not blobs.exists()
    finally:
        (stack.store / "away").rename(blobs)
    done = subprocess.run(
        [REPOSITORY / ".build/release/shacache-admin", "check", "--json", "--config", stack.state / "shacache.toml"],
        stdout=open("/dev/full", "w"), stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "no space left on device" in done.stderr


def stopped_check(stack, *words):
    """A check that stands still while it reads a file."""
    stack.upload(os.urandom(8 << 20))
    words = [REPOSITORY / ".build/release/shacache-admin", "check", "--deep", "--rate", "1M", *words]
    process = subprocess.Popen(
        [*words, "--config", stack.state / "shacache.toml"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    eventually(lambda: process.poll() is not None or has_a_blob_open(process.pid, stack))
    process.send_signal(signal.SIGSTOP)
    assert process.poll() is None
    return process


def has_a_blob_open(pid, stack):
    for link in os.listdir(f"/proc/{pid}/fd"):
        try:
            file = os.readlink(f"/proc/{pid}/fd/{link}")
        except OSError:
            continue  # closed meanwhile
        if file.startswith(f"{stack.store}/blobs/") and os.path.isfile(file):
            return True
    return False


def test_of_two_repairs_at_once_the_second_says_so_and_ends(stack):
    # Fails without LocalBlobs.locking in StoreCheck.run. A check that changes nothing is in nobody's way.
    first = stopped_check(stack, "--repair")
    try:
        assert_refused(stack.admin("check", "--repair", check=False), "another check --repair is at work here")
        check(stack)
    finally:
        first.kill()
        first.communicate()
    check(stack, "--repair")


def test_without_the_database_it_stops_and_says_why(stack):
    # Fails when StoreCheck.goingOn takes it for what ends one step alone.
    running = stopped_check(stack)
    with stopped_database(stack):
        running.send_signal(signal.SIGCONT)
        out, err = running.communicate(timeout=120)
    assert (running.returncode, out) == (1, "")
    assert err.startswith("shacache-admin: database: ") and "Fatal error" not in err
    wait_for_database(stack)
    check(stack)


def test_uploads_and_withdrawals_under_way_are_no_faults(start):
    # Fails without BlobRepository.fault in StoreCheck: what was being moved would be missing; and when what sums are
    # compared with comes from another snapshot. What is repaired meanwhile must be right, too.
    stack = start(WORKERS="2", ANONYMOUS="1")
    history, over, turns = History(stack), threading.Event(), []
    digest = stack.upload(os.urandom(2000))

    def keep_hiding():
        while not over.is_set():
            stack.admin("blob", "withdraw", digest, "--reason", "test")
            (number,), = Database(stack).run("SELECT max(id) FROM shacache.withdrawal")
            stack.admin("withdrawal", "lift", number)
            turns.append(number)

    hiding = threading.Thread(target=keep_hiding)
    # Each check takes as long as what has come until then: without a pause, one that is slow would be slower each time.
    with Load(stack, history, uploaders=4, readers=1, pause=0.2) as load:
        load.wait_for(20, UPLOAD)
        hiding.start()
        try:
            checks = 0
            while checks < 9 or len(turns) < 5:
                assert hiding.is_alive()
                findings, kinds = check(stack, *[[], ["--repair"], ["--deep", "--rate", "1G"]][checks % 3])
                assert [row for row in findings if row["kind"] != "arriving"] == []
                checks += 1
                if checks == 6:
                    # While uploads add to it.
                    load.wait_for(5, LIST)
                    Database(stack).run("UPDATE shacache.key_count SET entries = entries + 1 WHERE key LIKE 'key-%'")
                    check(stack, "--repair")
        finally:
            over.set()
            hiding.join()
    history.check()
    assert check(stack, "--deep")[0] == []
