"""`shacache-admin migrate` brings the functions and views of a running cache up to date."""

import re
import shutil
import threading

import pytest
from administration import assert_refused, run
from stack import REPOSITORY, Database
from transactions import Session, under_way

TRIED = """
    INSERT INTO shacache.upload (account_id, target, outcome, status, reason, duration, request_id)
    VALUES (1, 'blob', 'failed', 503, 'busy', '1 ms', 'written meanwhile') RETURNING id"""
REPORTED = "SELECT count(*) FROM report.entries_to_look_into UNION ALL SELECT count(*) FROM report.growth LIMIT 1"


class Repeating(threading.Thread):
    """Asks the same again and again until it is told to stop, and keeps the answers."""

    def __init__(self, stack, sql, role):
        super().__init__()
        self._session, self._sql, self._stopping = Session(stack, role), sql, threading.Event()
        self.answers, self._failure = [], None

    def run(self):
        try:
            while not self._stopping.is_set():
                self.answers.append(self._session.ask(self._sql))
            self._session.close()
        except Exception as failure:
            self._failure = failure

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self.join()
        assert not self._failure, self._failure


@pytest.fixture
def directory(tmp_path):
    """A copy of the SQL, to be changed."""
    return shutil.copytree(REPOSITORY / "sql", tmp_path / "sql")


def change(file):
    file.write_text(f"{file.read_text()}-- Changed.\n")


# Migrations.dropYieldingToReports: without it, a report of two views and the migration wait for each other, and one fails.
def test_uploads_and_reports_go_on_meanwhile(start, directory):
    stack = start(WORKERS="1")
    with Repeating(stack, TRIED, "shacache_worker") as writer, Repeating(stack, REPORTED, "shacache_report") as reader:
        for _ in range(10):
            change(directory / "report/growth.sql")
            assert "applied report/growth.sql" in stack.admin("migrate", "--directory", directory).stderr
        stack.upload(b"meanwhile")
    assert len(reader.answers) > 10
    kept = Database(stack).run("SELECT id FROM shacache.upload WHERE request_id = 'written meanwhile' ORDER BY id")
    assert [id for (id,) in kept] == writer.answers and len(writer.answers) > 10


# DatabaseError.schemaProblem.
def test_before_it_every_command_says_to_run_it(start, tmp_path):
    stack = start(WORKERS="1")
    Database(stack).run("CREATE DATABASE bare OWNER shacache_owner", role="postgres")
    config = tmp_path / "shacache.toml"
    config.write_text(re.sub(r"dbname=\w+", "dbname=bare", (stack.state / "shacache.toml").read_text()))
    tree = tmp_path / "tree"
    tree.mkdir()
    for words in (["account", "list"], ["account", "add", "x"], ["status"], ["maintain"], ["survey"], ["check"], ["scrub"],
                  ["collect", "plan"], ["collect", "apply"], ["collect", "status"], ["pin", "list"], ["journal"], ["rebuild"],
                  ["report", "usage"], ["backup", tmp_path / "backup"], ["export", tmp_path / "out"],
                  ["import", "tree", tree, "--account", "demo"], ["signer", "list"], ["withdrawal", "list"], ["entry", "list", "k"]):
        assert_refused(run(*words, "--config", config), "run shacache-admin migrate")


def test_one_that_is_in_somebodys_way_gives_up_and_says_what_to_do(start, directory):
    stack = start(WORKERS="1")
    change(directory / "report/growth.sql")
    with under_way(stack, "SELECT count(*) FROM report.growth", "shacache_report") as end:
        done = stack.admin("migrate", "--directory", directory, check=False)
        assert_refused(done, "the views: not applied", "stop the workers")
        end()
    stack.admin("migrate", "--directory", directory)
