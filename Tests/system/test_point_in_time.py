"""A database that is restored to a point in time, beside a store that is newer."""

import json
import os
import shutil

from lost_server import answers
from stack import Database, eventually
from standby import Server, base_backup
from test_check import HARMLESS, check


def archive(stack, directory):
    """Lets the cache's PostgreSQL keep its WAL in a directory, as restore.md has it."""
    directory.mkdir()
    if os.getuid() == 0:
        shutil.chown(directory, "postgres", "postgres")
    stack.stop()
    with open(stack.state / "pgdata/postgresql.conf", "a") as settings:
        settings.write("archive_mode = on\narchive_library = 'basic_archive'\n"
                       f"basic_archive.archive_directory = '{directory}'\n")
    stack.start()


def restore(stack, base, archived, point):
    """Puts the base backup in the place of the database's files, and lets it read the WAL up to the point."""
    data = stack.state / "pgdata"
    shutil.rmtree(data)
    base.rename(data)
    with open(data / "postgresql.auto.conf", "a") as settings:
        settings.write(f"restore_command = 'cp {archived}/%f %p'\nrecovery_target_time = '{point}'\n"
                       "recovery_target_action = promote\n")
    (data / "recovery.signal").touch()
    if os.getuid() == 0:
        shutil.chown(data / "recovery.signal", "postgres", "postgres")
    with Server(data, stack.state / "run/postgresql") as server:
        eventually(lambda: server.run("SELECT pg_is_in_recovery()") == "f")


def upload(stack, name):
    """Blobs and entries under keys of that name; (blobs, keys)."""
    bodies = [os.urandom(2000) for _ in range(5)]
    blobs = [stack.upload(body) for body in bodies]
    for number, digest in enumerate(blobs):
        stack.index(f"{name}-{number % 2}", json.dumps({"sha512": digest, "number": number}))
    return blobs, [f"{name}-0", f"{name}-1"]


def withdraw(stack, digest):
    stack.admin("blob", "withdraw", digest, "--reason", "test")
    return json.loads(stack.admin("withdrawal", "list", "--json").stdout)[-1]["number"]


def test_the_point_in_time_is_answered_as_it_was(start, tmp_path):
    stack = start(WORKERS="1")
    archived = tmp_path / "archive"
    archive(stack, archived)
    first, keys = upload(stack, "first")
    lifted_later = withdraw(stack, first[0])
    base_backup(stack, base := tmp_path / "base")
    second, more = upload(stack, "second")
    blobs, keys = first + second, keys + more
    before = answers(stack, blobs, keys)
    (point,), = Database(stack).run("SELECT clock_timestamp()")
    # What comes behind it: uploads, an entry of a key from before, a withdrawal, and one that is lifted.
    third, third_keys = upload(stack, "third")
    stack.index(keys[0], json.dumps({"sha512": third[0]}))
    withdraw(stack, second[0])
    stack.admin("withdrawal", "lift", str(lifted_later))
    assert answers(stack, blobs, keys) != before
    last = Database(stack).run("SELECT pg_walfile_name(pg_switch_wal())", role="postgres")[0][0]
    eventually(lambda: (archived / last).exists())
    stack.stop()
    restore(stack, base, archived, point)
    stack.start()
    # A worker has moved what was withdrawn or lifted since.
    eventually(lambda: answers(stack, blobs, keys) == before)
    # What was acknowledged later has no rows; its files do no harm, and are blobs again when they are uploaded again.
    assert {status for status, _ in answers(stack, [], third_keys).values()} == {404}
    findings, kinds = check(stack, "--deep")
    assert kinds["arriving"]["found"] == len(third) and {row["kind"] for row in findings} <= set(HARMLESS)
    for digest in third:
        file = stack.blob_file(digest)
        assert stack.upload(file.read_bytes()) == digest
    assert check(stack, "--deep")[1]["arriving"]["found"] == 0
    stack.index(third_keys[0], json.dumps({"sha512": third[0]}))
    assert stack.request("GET", f"/shadir/{third_keys[0]}")[0] == 200
