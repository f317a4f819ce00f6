"""`shacache-admin backup` and `restore`: from a cache to another place, and to a new server."""

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
from exposition import scrape
from history import LIST, UPLOAD, History, Load
from lost_server import NewServer, answers
from sshd import Sshd
from stack import REPOSITORY, Database, Stack, eventually
from test_check import check
from test_scrub import damage

ADMIN = REPOSITORY / ".build/release/shacache-admin"


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A cache of this module's own; tests leave it in order."""
    with Stack(tmp_path_factory.mktemp("backed-up"), ANONYMOUS="1") as stack:
        yield stack


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """A server that tests restore to, one after the other."""
    server = NewServer(tmp_path_factory.mktemp("new"), ANONYMOUS="1")
    yield server
    server.stack.stop()


def backup(stack, *words, code=0):
    """What it came to, and what was said."""
    done = stack.admin("backup", *words, "--json", check=False)
    assert done.returncode == code, done
    (sums,) = json.loads(done.stdout)
    return sums, done.stderr


def listed(*words):
    return json.loads(subprocess.run([ADMIN, "backup", "list", "--json", *words], capture_output=True, text=True, check=True).stdout)


def verify(*words):
    return subprocess.run([ADMIN, "backup", "verify", *words], capture_output=True, text=True)


def copies(place):
    """The blobs there."""
    return {file.name for file in [*place.glob("blobs/*/*"), *place.glob("withdrawn/*")]}


def fill(stack, name):
    """Blobs and entries of each kind, withdrawn ones too; (blobs, keys)."""
    bodies = [b"", os.urandom(1), os.urandom(1_200_000), *(os.urandom(3000) for _ in range(20))]
    blobs = [stack.upload(body) for body in bodies]
    keys = [f"{name}-{number}" for number in range(5)]
    for number, digest in enumerate(blobs):
        stack.index(keys[number % 5], json.dumps({"sha512": digest, "number": number, "name": "ü"}), "c2lnbmF0dXJl")
    stack.admin("blob", "withdraw", blobs[-1], "--reason", "secret")
    entry = json.loads(stack.admin("entry", "list", keys[0], "--json").stdout)[1]["number"]
    stack.admin("entry", "withdraw", str(entry), "--reason", "wrong")
    return blobs, keys


# The words with which the backups of a place are named: a directory, or another host by a key that is for rsync alone, where
# each step takes several times as long.
@pytest.fixture(params=["directory", pytest.param("ssh", marks=pytest.mark.slow)])
def place(request, tmp_path):
    """(the directory, the words)"""
    directory = tmp_path / "place"
    if request.param == "directory":
        yield directory, [directory]
    else:
        with Sshd(tmp_path / "ssh", directory) as server:
            yield directory, server.words


@pytest.mark.parametrize("place", ["directory", "ssh"], indirect=True)
def test_a_lost_server_is_restored_and_answers_as_before(two, new, place, tmp_path):
    # Fails without DatabaseRights.restore.
    directory, words = place
    blobs, keys = fill(two, directory.parent.name)
    backup(two, *words)
    # It lies among the visible ones there.
    two.admin("blob", "withdraw", blobs[-2], "--reason", "secret, too")
    files = [word for name in ("ca", "tls", "client") for word in ("--also", two.state / name)]
    sums, said = backup(two, *words, *files)
    assert (sums["copied"], sums["missing"], sums["present"]) == (0, 0, len(copies(directory)))
    assert {*blobs} <= copies(directory) and said == ""
    assert (directory / "blobs" / blobs[-2][:2] / blobs[-2]).exists()
    before = answers(two, blobs, keys)
    assert all(before[f"/shacache/{blobs[at]}"][0] == 404 for at in (-1, -2)) and before[f"/shacache/{blobs[0]}"] == (200, b"")
    rights = ("SELECT unnest(datacl)::text FROM pg_database WHERE datname = current_database()"
              " UNION ALL SELECT nspname || unnest(nspacl)::text FROM pg_namespace WHERE nspname !~ '^pg_|^information'"
              " UNION ALL SELECT defaclnamespace::regnamespace || unnest(defaclacl)::text FROM pg_default_acl ORDER BY 1")
    granted = Database(two).run(rights)
    new.empty_store()
    new.take_keys(directory / "generations" / sums["backup"] / "files", of=two)
    with new.database():
        done = new.restore(*words)
    assert f"restores {sums['backup']}, of {os.uname().nodename}\n" in done.stderr
    # Nothing was left to be repaired.
    assert {row.split()[1] for row in done.stdout.splitlines()[1:]} == {"0"}, done.stdout
    stack = new.start()
    try:
        assert answers(stack, blobs, keys) == before
        assert Database(stack).run(rights) == granted and len(granted) > 10
        assert stack.request("GET", "/")[0] == 200
        # Feed.startAnew: numbers may be given again.
        numbering = "SELECT name FROM shacache.feed_numbering"
        assert Database(stack).run(numbering) != Database(two).run(numbering)
        assert check(stack, "--deep")[0] == []
        owner = stack.store.stat()
        for file in (stack.blob_file(blobs[2]), *(stack.store / "withdrawn" / blobs[at] for at in (-1, -2))):
            status = file.stat()
            assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (owner.st_uid, owner.st_gid, 0o440)
            assert os.getxattr(file, "user.shacache.size") == str(status.st_size).encode()
            assert file.stat().st_mtime_ns == next(
                kept for kept in (two.blob_file(file.name), two.store / "withdrawn" / file.name) if kept.exists()).stat().st_mtime_ns
        # With the client's key of before.
        again = stack.upload(body := os.urandom(5000))
        stack.index(keys[0], json.dumps({"sha512": again}))
        assert stack.request("GET", f"/shacache/{again}")[2] == body
        assert len(stack.entries(keys[0])) == len(json.loads(before[f"/shadir/{keys[0]}"][1])) + 1
        assert stack.request("POST", "/shacache", b"")[0] == 201
    finally:
        stack.stop()


def test_a_later_backup_copies_what_is_new(two, place):
    # Fails without the index in Backup.copyBlobs.
    directory, words = place
    for _ in range(3):
        two.upload(os.urandom(2000))
    first, _ = backup(two, *words)
    assert first["copied"] == len(copies(directory)) and first["bytes"] > 6000
    inodes = {file: file.stat().st_ino for file in directory.glob("blobs/*/*")}
    none, _ = backup(two, *words)
    assert (none["copied"], none["bytes"], none["present"]) == (0, 0, first["copied"])
    two.upload(body := os.urandom(2500))
    new, _ = backup(two, *words)
    assert (new["copied"], new["bytes"], new["present"]) == (1, len(body), first["copied"])
    assert {file: file.stat().st_ino for file in inodes} == inodes
    assert [row["backup"] for row in listed(*words)] == [sums["backup"] for sums in (first, none, new)]
    assert all(row["finished"] == "yes" for row in listed(*words))
    done = verify(*words)
    # Each once, however many backups name it.
    assert (done.returncode, done.stderr) == (0, f"3 backups with {len(copies(directory))} blobs are whole\n"), done
    # Two are kept, and the blobs of the first.
    backup(two, *words, "--keep", "2")
    assert len(listed(*words)) == 2 and verify(*words).returncode == 0


@pytest.mark.parametrize("place", ["directory", "ssh"], indirect=True)
def test_what_the_store_has_damaged_or_lost_is_named_and_left_out_and_comes_when_it_is_healed(two, place):
    # Fails without the hash in Backup.damage (ssh) and in Backup.accept (a directory).
    directory, words = place
    bodies = [os.urandom(4000) for _ in range(3)]
    flipped, cut, lost = digests = [two.upload(body) for body in bodies]
    damage(two.blob_file(flipped))
    os.chmod(two.blob_file(cut), 0o640)
    os.truncate(two.blob_file(cut), 100)
    two.blob_file(lost).rename(two.store / "aside")
    before = {digest for digest in digests if digest in copies(directory)}
    sums, said = backup(two, *words, code=3)
    assert sums["missing"] == 3 and before == set()
    assert f"missing: blob {flipped}: has other bytes than its name says\n" in said
    assert f"missing: blob {cut}: has 100 bytes, and was stored with 4000\n" in said
    assert f"missing: blob {lost}: is not in the store\n" in said
    assert "3 blobs are not in the backup" in said and not copies(directory) & set(digests)
    # What the backup hasn't is no fault of it, nor a reason not to count.
    assert verify(*words).returncode == 0
    assert scrape(two).value("shacache_last_run_findings", task="backup") == 3
    (two.store / "aside").unlink()
    for body in bodies:
        two.upload(body)
    assert backup(two, *words)[0]["copied"] == 3
    # And what the store loses later, the backup keeps.
    damage(two.blob_file(flipped))
    two.blob_file(lost).unlink()
    assert backup(two, *words)[0]["missing"] == 0
    two.upload(bodies[0])
    two.upload(bodies[2])


def test_a_backup_under_load_has_all_that_was_acknowledged_before_it(start, new, tmp_path):
    stack, history = start(WORKERS="2"), None
    history = History(stack)
    with Load(stack, history) as load:
        load.wait_for(150, UPLOAD)
        acknowledged = [*history.events]
        sums, _ = backup(stack, tmp_path / "place", *[word for name in ("ca", "tls", "client") for word in ("--also", stack.state / name)])
        load.wait_for(20, UPLOAD)
    assert sums["missing"] == 0
    new.empty_store()
    new.take_keys(tmp_path / "place/generations" / sums["backup"] / "files", of=stack)
    with new.database():
        new.restore(tmp_path / "place")
    restored = new.start()
    try:
        check(restored, "--deep")
        after = History(restored)
        after.events = history.of(UPLOAD, LIST)
        for event in after.events:
            # What came later may be there or not.
            if event not in acknowledged:
                event.status = None
        after.check()
    finally:
        restored.stop()


@contextmanager
def slow_backup(stack, *words, size=3_000_000):
    """One that is copying blobs, slowly."""
    stack.upload(os.urandom(size))
    with open(stack.state / "backup.err", "w") as said:
        process = subprocess.Popen(
            [ADMIN, "backup", *words, "--bandwidth-limit", "300K", "--config", stack.state / "shacache.toml"],
            stdout=subprocess.DEVNULL, stderr=said)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def is_receiving(directory):
    return any((directory / "partial").glob("*"))


def rsyncs(directory):
    return subprocess.run(["pgrep", "-f", f"rsync.*{directory}"], capture_output=True, text=True).stdout.split()


def test_one_that_was_killed_leaves_the_earlier_whole_and_the_next_goes_on(two, place):
    # Fails without setpriv in Program.
    directory, words = place
    first, _ = backup(two, *words)
    # It would take a minute.
    with slow_backup(two, *words, size=18_000_000) as process:
        # By ssh, each step before it is a connection.
        eventually(lambda: is_receiving(directory), 60)
        process.send_signal(signal.SIGKILL)
        process.wait()
    # Nothing goes on writing there.
    eventually(lambda: not rsyncs(directory))
    (directory / "generations/2020-01-01T000000Z").mkdir()
    # The one that was killed had copied the journal.
    assert [row["finished"] for row in listed(*words)] == ["no", "yes", "no"]
    assert verify(*words).returncode == 0
    third = eventually(lambda: (done := two.admin("backup", *words, "--json", check=False)).returncode == 0 and json.loads(done.stdout))[0]
    assert third["copied"] == 1
    assert [row["backup"] for row in listed(*words)] == [first["backup"], third["backup"]]
    assert list((directory / "partial").iterdir()) == []
    assert all(len(name) == 128 for name in copies(directory))


def test_a_second_one_says_so_and_ends_or_waits(two, tmp_path):
    # Fails without SessionLock.deletion in Backup.pauseDeletion.
    backup(two, tmp_path / "place")
    with slow_backup(two, tmp_path / "place") as process:
        eventually(lambda: is_receiving(tmp_path / "place"))
        second = two.admin("backup", tmp_path / "other", check=False)
        assert second.returncode == 1 and not (tmp_path / "other").exists()
        assert second.stderr == (
            "shacache-admin: a collection, or another backup, runs already\nshacache-admin: hint: --wait waits for its end\n")
        waiting = subprocess.Popen([ADMIN, "backup", tmp_path / "other", "--wait", "--config", two.state / "shacache.toml"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert process.wait(60) == 0
        assert waiting.wait(60) == 0
    assert [row["finished"] for row in listed(tmp_path / "other")] == ["yes"]


def test_one_that_lost_the_database_is_not_finished(two, tmp_path):
    # Fails without Backup.requireSession: what was to be kept may have been deleted meanwhile.
    first, _ = backup(two, tmp_path / "place")
    with slow_backup(two, tmp_path / "place") as process:
        eventually(lambda: is_receiving(tmp_path / "place"))
        Database(two).run("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 8", role="postgres")
        assert process.wait(60) == 1
    assert "the session with the database ended" in (two.state / "backup.err").read_text()
    assert [row["backup"] for row in listed(tmp_path / "place") if row["finished"] == "yes"] == [first["backup"]]


def test_a_full_disk_is_said_and_the_earlier_backup_stays(two, tmp_path):
    if os.getuid() != 0:
        pytest.skip("mounting a file system needs root")
    place = tmp_path / "place"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", place], check=True)
    try:
        first, _ = backup(two, place)
        two.upload(os.urandom(55_000_000))
        full = two.admin("backup", place, check=False)
        assert full.returncode == 1 and "No space left on device" in full.stderr
        assert full.stderr.splitlines()[-1] == "shacache-admin: rsync: ended with 11"
        assert verify(place).returncode == 0
        assert [row["backup"] for row in listed(place) if row["finished"] == "yes"] == [first["backup"]]
    finally:
        subprocess.run(["umount", place], check=True)


def test_what_is_damaged_in_a_backup_is_found_and_copied_again(two, new, tmp_path):
    # Fails without the comparison in BackupPlace.fetch(_:of:to:).
    place = tmp_path / "place"
    digests = [two.upload(os.urandom(5000)) for _ in range(2)]
    sums, _ = backup(two, place)
    for name in "database.dump", "blobs", "manifest.json":
        file = place / "generations" / sums["backup"] / name
        kept = file.read_bytes()
        file.chmod(0o600)
        file.write_bytes(kept[:-9] + b"x" + kept[-8:])
        done = verify(place)
        assert done.returncode == 1 and "damaged" in done.stderr, name
        # No later backup mends it.
        assert "1 of 1 backups are damaged, and stay so" in done.stderr and "next backup" not in done.stderr
        file.write_bytes(kept)
    assert verify(place).returncode == 0
    backup(two, place)
    damage(place / "blobs" / digests[0][:2] / digests[0])
    (place / "blobs" / digests[1][:2] / digests[1]).unlink()
    done = verify(place)
    # Of both backups.
    assert (done.returncode, done.stderr) == (
        1, f"missing: blob {digests[1]}\n"
           "shacache-admin: 1 blobs are missing or damaged: the next backup copies those that the store has\n")
    new.empty_store()
    with new.database():
        done = new.restore(place, check=False)
    assert done.returncode == 1 and f"missing: blob {digests[0]}: has other bytes than its name says\n" in done.stderr
    assert f"missing: blob {digests[1]}: is not in the backup\n" in done.stderr and ", 2 missing\n" in done.stderr
    assert not new.stack.blob_file(digests[0]).exists()
    done = verify(place, "--deep")
    assert f"damaged: blob {digests[0]}: has other bytes than its name says\n" in done.stderr and done.returncode == 1
    assert (place / "damaged" / digests[0]).exists()
    assert backup(two, place)[0]["copied"] == 2
    assert verify(place, "--deep").returncode == 0


def test_blobs_that_no_backup_names_are_removed_when_that_is_asked_for(two, place):
    # Fails without BackupPruning's look at each list.
    directory, words = place
    stays, goes = two.upload(os.urandom(700)), two.upload(os.urandom(800))
    two.admin("blob", "withdraw", goes, "--reason", "test")
    backup(two, *words)
    assert {stays, goes} <= copies(directory)
    # As a collection does.
    Database(two).run(f"DELETE FROM shacache.blob WHERE sha512 = decode('{goes}', 'hex')")
    (two.store / "withdrawn" / goes).unlink()
    assert backup(two, *words, "--prune")[0]["removed"] == 0 and goes in copies(directory)
    assert backup(two, *words, "--prune", "--keep", "1")[0]["removed"] == 1
    assert goes not in copies(directory) and stays in copies(directory)
    assert verify(*words).returncode == 0


def test_a_restore_leaves_alone_what_is_there(two, new, tmp_path):
    place = tmp_path / "place"
    digest = two.upload(os.urandom(1000))
    backup(two, place)
    new.empty_store()
    with new.database(empty=False) as server:
        server.run("CREATE SCHEMA IF NOT EXISTS shacache")
        done = new.restore(place, check=False)
        assert done.returncode == 1 and "already, and is left alone" in done.stderr
        assert list(new.stack.store.iterdir()) == []
    with new.database():
        (new.stack.store / "blobs/00").mkdir(parents=True)
        (new.stack.store / "blobs/00" / ("0" * 128)).touch()
        done = new.restore(place, check=False)
        assert done.returncode == 1 and "has blobs already, and is left alone" in done.stderr
        new.empty_store()
        for words in [tmp_path / "nowhere"], [place, "--backup", "2000-01-01T000000Z"]:
            assert new.restore(*words, check=False).returncode == 1
        # One that was stopped in its middle goes on: what it has, it doesn't fetch again.
        (place / "generations" / listed(place)[0]["backup"] / "database.dump").rename(tmp_path / "dump")
        done = new.restore(place, check=False)
        assert done.returncode == 1 and (new.stack.store / "restoring").exists()
        (tmp_path / "dump").rename(place / "generations" / listed(place)[0]["backup"] / "database.dump")
        file = new.stack.blob_file(digest)
        inode = file.stat().st_ino
        # Zeros of the right length, as a power cut leaves them, are no blob. Fails without the attribute in Restore.isThere.
        other = next(file for file in new.stack.store.glob("blobs/*/*") if file.name != digest and file.stat().st_size > 100)
        other.chmod(0o600)
        other.write_bytes(bytes(other.stat().st_size))
        os.removexattr(other, "user.shacache.size")
        done = new.restore(place)
        assert ", 0 missing" in done.stderr and "1 blobs (" in done.stderr
        assert file.stat().st_ino == inode and not (new.stack.store / "restoring").exists()
    stack = new.start()
    try:
        assert check(stack, "--deep")[0] == []
    finally:
        stack.stop()


def test_the_journal_comes_along_and_back_with_the_blobs_alone(two, new, place):
    # Fails without the link to the journal of the backup before, in Backup.copyJournal.
    directory, words = place
    journal = two.store / "journal"
    try:
        (journal / "old").write_bytes(b"what was")
        (journal / "now").write_bytes(b"what is")
        first, _ = backup(two, *words)
        with open(journal / "now", "ab") as file:
            file.write(b", and more")
        second, _ = backup(two, *words)
    finally:
        for name in "old", "now":
            (journal / name).unlink()
    old, kept = (directory / "generations" / sums["backup"] / "journal" for sums in (first, second))
    assert (old / "now").read_bytes() == b"what is" and (kept / "now").read_bytes() == b"what is, and more"
    assert (old / "old").stat().st_ino == (kept / "old").stat().st_ino
    assert (old / "now").stat().st_ino != (kept / "now").stat().st_ino
    new.empty_store()
    with new.database():
        new.restore(*words)
        # It is written anew.
        restored = {file.name for file in (new.stack.store / "journal").iterdir()}
        assert restored and not restored & {file.name for file in kept.iterdir()}
    new.empty_store()
    with new.database():
        new.restore(*words, "--blobs-only")
        restored = new.stack.store / "journal"
        assert {"old": b"what was", "now": b"what is, and more"}.items() <= {
            file.name: file.read_bytes() for file in restored.iterdir()}.items()
        owner = new.stack.store.stat()
        for path in restored, restored / "now":
            assert (path.stat().st_uid, path.stat().st_mode & 0o200) == (owner.st_uid, 0o200)
        refused = new.restore(*words, "--database-only", check=False)
        assert refused.returncode == 1 and "is the journal of a later state of the database" in refused.stderr
        for file in restored.iterdir():
            file.unlink()
        new.restore(*words, "--database-only")


def test_a_bad_backup_is_removed_as_the_guide_has_it(two, tmp_path):
    place = tmp_path / "place"
    (good, _), (bad, _) = backup(two, place), backup(two, place)
    generation = place / "generations" / bad["backup"]
    os.truncate(generation / "blobs", 10)
    assert two.admin("backup", place, "--prune", check=False).returncode == 1
    (generation / "manifest.json").unlink()
    assert verify(place).returncode == 0
    third, _ = backup(two, place, "--prune")
    assert {good["backup"], third["backup"]} <= {row["backup"] for row in listed(place)} and not generation.exists()


def test_where_no_backups_are_is_said_in_a_line(tmp_path, place):
    directory, words = place
    if directory.exists():
        directory.rmdir()
    for done in (subprocess.run([ADMIN, "backup", verb, *words], capture_output=True, text=True) for verb in ("list", "verify")):
        assert done.returncode == 1, done
        # Of another host, rsync says it.
        assert words != [directory] or done.stderr == f"shacache-admin: {directory}: there is no such directory\n", done
    directory.mkdir(exist_ok=True)
    done = subprocess.run([ADMIN, "backup", "list", "--json", *words], capture_output=True, text=True)
    assert (done.returncode, json.loads(done.stdout)) == (0, []) and done.stderr.endswith(": has no backups\n"), done
    assert done.stderr.count("\n") == 1
    done = verify(*words)
    assert done.returncode == 1 and done.stderr.endswith(": has no finished backup\n") and done.stderr.count("\n") == 1, done


def test_no_backup_and_no_export_goes_into_the_store_or_around_it(two, tmp_path):
    # Fails without LocalBlobs.overlaps: what is removed there would be the store's.
    (tmp_path / "link").symlink_to(two.store)
    for place in two.store, f"{two.store}/", two.store / "backup", two.store / "blobs/00", two.store.parent, tmp_path / "link/new":
        before = sorted(two.store.iterdir())
        for verb in "backup", "export":
            done = two.admin(verb, place, check=False)
            assert done.stderr == f"shacache-admin: {place}: lies in the store, or the store in it: name a directory beside the store\n"
            assert done.returncode == 1 and sorted(two.store.iterdir()) == before
    two.admin("export", f"{two.store}2")


def test_of_two_restores_at_once_the_second_says_so_and_ends(two, new, tmp_path):
    # Fails without Restore.alone: both would fetch, and write, and remove.
    two.upload(os.urandom(6_000_000))
    backup(two, tmp_path / "place")
    new.empty_store()
    with new.database():
        words = [ADMIN, "restore", tmp_path / "place", "--config", new.stack.state / "shacache.toml", "--sql", REPOSITORY / "sql"]
        with subprocess.Popen([*words, "--bandwidth-limit", "300K"], stderr=subprocess.DEVNULL) as first:
            eventually(lambda: (new.stack.store / "restoring").exists())
            second = new.restore(tmp_path / "place", check=False)
            assert first.poll() is None
            first.kill()
        assert (second.returncode, second.stderr) == (
            1, f"shacache-admin: {new.stack.store}: another restore is at work here: wait for its end\n")
        eventually(lambda: not rsyncs(tmp_path / "place"))
        assert ", 0 missing" in new.restore(tmp_path / "place").stderr


def test_what_a_restore_needs_at_its_end_is_looked_at_first(two, new, tmp_path):
    # Fails without Migrations.requireFiles in RestoreCommand.
    backup(two, tmp_path / "place")
    new.empty_store()
    older = shutil.copytree(REPOSITORY / "sql", tmp_path / "sql")
    newest = max(file.name for file in older.glob("0*.sql"))
    (older / newest).unlink()
    with new.database():
        for directory, says in (tmp_path / "nowhere", "no such file or directory"), (older, "is its newest migration, and this release needs"):
            done = new.stack.admin("restore", tmp_path / "place", "--sql", directory, check=False)
            assert done.returncode == 1 and done.stderr.startswith(f"shacache-admin: {directory}") and says in done.stderr, done
            assert list(new.stack.store.iterdir()) == []


def test_wrong_words_are_refused(two, tmp_path):
    for words in [], [tmp_path, "--ssh", "a:/b"], [tmp_path, "--keep", "0"], [tmp_path, "--ssh-command", "ssh"], [tmp_path, "--also", "x"]:
        assert two.admin("backup", *words, check=False).returncode == 64
    for remote in "host", "host:relative", "-oProxyCommand=x:/y":
        assert "is not of the form USER@HOST:/DIRECTORY" in two.admin("backup", f"--ssh={remote}", check=False).stderr
    assert two.admin("restore", tmp_path, "--blobs-only", "--database-only", check=False).returncode == 64


def test_what_was_copied_and_not_yet_hashed_when_it_was_killed_is_read_by_the_next(two, tmp_path):
    # Fails without readInterrupted in Backup.
    place = tmp_path / "place"
    digest = two.upload(os.urandom(100_000_000))
    copy = place / f"blobs/{digest[:2]}/{digest}"
    process = subprocess.Popen([ADMIN, "backup", place, "--config", two.state / "shacache.toml"], stderr=subprocess.DEVNULL)
    try:
        while not copy.exists():
            assert process.poll() is None
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    assert digest in (place / "unread").read_text()
    eventually(lambda: not rsyncs(place))
    with open(copy, "r+b") as file:
        file.write(b"x" * 20)
    sums, _ = backup(two, place)
    assert sums["copied"] >= 1 and sums["missing"] == 0 and not (place / "unread").exists()
    assert verify(place, "--deep").returncode == 0
