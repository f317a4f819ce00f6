"""Transactions that are under way while something else happens."""

import subprocess
from contextlib import contextmanager

from stack import Database


class Session:
    """psql, one statement after the other."""

    def __init__(self, stack, role="shacache_worker"):
        url = stack.env["DATABASE_URL"].replace("shacache_owner", role)
        self._psql = subprocess.Popen(
            ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, sql):
        """What it prints; it must be one line."""
        self._psql.stdin.write(f"{sql};\n")
        self._psql.stdin.flush()
        assert (line := self._psql.stdout.readline()), "the session has ended"
        return line.strip()

    def close(self):
        self._psql.communicate(timeout=20)
        assert self._psql.returncode == 0


@contextmanager
def under_way(stack, sql, role="shacache_worker"):
    """A transaction that is open while the body runs; yields what ends it. The statement returns one row."""
    session = Session(stack, role)
    try:
        session.ask(f"BEGIN; {sql}")
        yield lambda: session.ask("COMMIT; SELECT 1")
    finally:
        session.close()


def is_waited_for(stack):
    """Whether some session waits for another."""
    return Database(stack).run("SELECT count(*) FROM pg_locks WHERE NOT granted") != [("0",)]
