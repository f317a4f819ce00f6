"""A database of the first schemas, with what had been uploaded, is brought up to date while a worker writes on."""

import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from administration import assert_refused
from stack import REPOSITORY, Database, Stack, eventually
from transactions import Session, is_waited_for, under_way

# 0001 to 0003 are released, and stand as they are. From the fourth on, what was there is changed.
RELEASED = 3
FILES = sorted((REPOSITORY / "sql").glob("[0-9]*.sql"))

ACCOUNTS = "INSERT INTO shacache.account (name) VALUES ('ann'), ('bob')"

UPLOAD = """
    INSERT INTO shacache.upload (at, account_id, target, key, sha512, bytes, duplicate, signature_result,
        outcome, status, reason, duration, request_id)"""

# Blobs 1 to 60 are Ann's and 61 to 90 Bob's. Bob uploads every third again, Ann every fifth; so with the entries. What
# was refused says nothing of who shares what.
UPLOADS = f"""
    INSERT INTO shacache.blob (sha512, size, account_id)
    SELECT sha512(n::text::bytea), n, CASE WHEN n > 60 THEN 2 ELSE 1 END FROM generate_series(1, 90) AS n;
    INSERT INTO shacache.entry (key, metadata, signature, digest, sha512, account_id, signature_result)
    SELECT 'key ' || n % 30, '{{}}', '', sha256(n::text::bytea), sha512, account_id, 'unsigned'
    FROM generate_series(1, 90) AS n JOIN shacache.blob ON size = n;

    CREATE TEMPORARY TABLE tried AS
    SELECT now() - n * interval '1 day' AS at, account_id, false AS again, n FROM generate_series(1, 90) AS n JOIN shacache.blob ON size = n
    UNION ALL SELECT now() - n * interval '1 hour', 2, true, n FROM generate_series(3, 90, 3) AS n
    UNION ALL SELECT now() - n * interval '1 minute', 1, true, n FROM generate_series(5, 90, 5) AS n;
    {UPLOAD}
    SELECT at, account_id, 'blob', NULL, sha512(n::text::bytea), n, again, NULL, 'accepted', 201, NULL, '1 ms', 'blob'
    FROM tried;
    {UPLOAD}
    SELECT at, account_id, 'entry', 'key ' || n % 30, sha512(n::text::bytea), 2, again, 'unsigned', 'accepted', 201, NULL, '1 ms', 'entry'
    FROM tried;
    {UPLOAD}
    SELECT now(), 3 - account_id, 'blob', NULL, sha512, size, NULL, NULL, 'refused', 403, 'not authorized', '1 ms', 'refused'
    FROM shacache.blob"""

SHARED = sorted(n for n in range(1, 91) if n <= 60 and n % 3 == 0 or n > 60 and n % 5 == 0)

# As a worker of the first schema does it.
TRIED = f"{UPLOAD} VALUES (now(), 1, 'blob', NULL, NULL, NULL, NULL, NULL, 'failed', 503, 'busy', '1 ms', '%s') RETURNING id"
STORED = f"""
    INSERT INTO shacache.blob (sha512, size, account_id) VALUES (sha512('late'), 1000, 1);
    {UPLOAD} VALUES (now(), 1, 'blob', NULL, sha512('late'), 1000, false, NULL, 'accepted', 201, NULL, '1 ms', 'late') RETURNING id"""


class Writer(threading.Thread):
    """Goes on until it is told to stop, and knows which rows it was promised."""

    def __init__(self, stack):
        super().__init__()
        self._session, self._stopping, self.promised, self.failure = Session(stack), threading.Event(), [], None

    def run(self):
        try:
            while not self._stopping.is_set():
                self.promised.append(self._session.ask(TRIED % "written meanwhile"))
            self._session.close()
        except Exception as failure:
            self.failure = failure

    def stop(self):
        self._stopping.set()
        self.join()
        assert not self.failure, self.failure


def files_up_to(number, directory):
    directory.mkdir(exist_ok=True)
    for file in FILES[:number]:
        shutil.copy(file, directory)
    return directory


@pytest.fixture
def old(tmp_path):
    """A cache whose database is of the released schemas, with uploads of three months. Nobody asks its workers."""
    with Stack(tmp_path / "stack", WORKERS="1") as stack:
        for command in "DROP DATABASE shacache WITH (FORCE)", "CREATE DATABASE shacache OWNER shacache_owner":
            subprocess.run(
                ["psql", "-Xq", "-h", stack.state / "run/postgresql", "-U", "postgres", "-d", "postgres", "-c", command],
                check=True)
        stack.admin("migrate", "--directory", files_up_to(RELEASED, tmp_path / "released"))
        for sql in ACCOUNTS, UPLOADS:
            Database(stack).run(sql)
        yield stack


def migrate_behind(stack, sql, directory):
    """Migrates while a worker's transaction is under way, which ends when somebody waits for it."""
    with ThreadPoolExecutor() as pool, under_way(stack, sql) as end:
        migration = pool.submit(stack.admin, "migrate", "--directory", directory)
        eventually(lambda: is_waited_for(stack) or migration.done())
        end()
        migration.result()


def shared(database, table):
    """By the number that each began with."""
    number = "(SELECT n FROM generate_series(1, 90) AS n WHERE sha512(n::text::bytea) = sha512)"
    return sorted(int(n) for (n,) in database.run(f"SELECT {number} FROM shacache.{table} WHERE is_shared"))


def test_nothing_is_lost_and_all_is_counted_when_a_database_is_brought_up_to_date(old, tmp_path):
    database = Database(old)
    record = "SELECT id, at, account_id, target, outcome, request_id FROM shacache.upload WHERE request_id <> 'written meanwhile'"
    before = set(database.run(record))
    assert len({(at[:7]) for _, at, *_ in before}) >= 3
    writer = Writer(old)
    writer.start()
    # 0004 counts, and 0005 copies the record.
    migrate_behind(old, STORED, files_up_to(RELEASED + 1, tmp_path / "accounts"))
    migrate_behind(old, TRIED % "behind the copy", files_up_to(RELEASED + 2, tmp_path / "record"))
    old.admin("migrate", "--directory", REPOSITORY / "sql")
    writer.stop()

    after = set(database.run(record))
    assert before < after and sorted(row[5] for row in after - before) == ["behind the copy", "late"]
    kept = [id for (id,) in database.run("SELECT id FROM shacache.upload WHERE request_id = 'written meanwhile' ORDER BY id")]
    assert kept == writer.promised and kept
    assert database.run("SELECT count(*) - count(DISTINCT id) FROM shacache.upload") == [("0",)]
    assert old.admin("account", "recount").returncode == 0
    assert database.run("SELECT account_id, sum(blobs), sum(bytes) FROM shacache.account_usage GROUP BY 1 ORDER BY 1") == [
        ("1", "61", str(sum(range(61)) + 1000)), ("2", "30", str(sum(range(61, 91))))]
    assert shared(database, "blob") == SHARED
    assert shared(database, "entry") == SHARED

    # And it serves, from the start of everything to an upload.
    last = max(int(id) for (id,) in database.run("SELECT id FROM shacache.upload"))
    assert old.stop() == 0
    old.start()
    old.upload(b"after the upgrade")
    assert database.run(f"SELECT count(*) > 0 FROM shacache.upload WHERE id > {last} AND outcome = 'accepted'") == [("t",)]
    assert old.admin("account", "recount").returncode == 0
    old.admin("maintain")


def test_a_migration_that_is_in_somebodys_way_gives_up_and_says_what_to_do(old):
    with under_way(old, STORED) as end:
        done = old.admin("migrate", "--directory", REPOSITORY / "sql", check=False)
        assert_refused(done, "0004_accounts.sql: not applied", "stop the workers")
        end()
    assert Database(old).run("SELECT max(number) FROM shacache.migration") == [(str(RELEASED),)]
    old.admin("migrate", "--directory", REPOSITORY / "sql")
