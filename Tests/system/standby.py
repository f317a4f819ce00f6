"""A second PostgreSQL that follows a cache's own, as pg_basebackup makes it."""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from stack import Database, DatabaseError, eventually


class Standby:
    """`name` is what the primary knows it by. Its socket is `directory`/run."""

    def __init__(self, stack, directory, name="standby"):
        self._stack = stack
        self._name = name
        self._data = directory / "data"
        self.host = directory / "run"
        version = (stack.state / "pgdata/PG_VERSION").read_text().strip()
        self._programs = Path(f"/usr/lib/postgresql/{version}/bin")
        self._server = None

    def __enter__(self):
        access = self._stack.state / "pgdata/pg_hba.conf"
        access.write_text(access.read_text() + "local replication all peer map=shacache\n")
        database = Database(self._stack)
        database.run("SELECT pg_reload_conf()", role="postgres")
        primary = self._stack.state / "run/postgresql"
        backup = [self._programs / "pg_basebackup", "-D", self._data, "-h", primary, "-U", "postgres", "-R", "-c", "fast"]
        eventually(lambda: subprocess.run(backup, capture_output=True).returncode == 0)
        with open(self._data / "postgresql.auto.conf", "a") as settings:
            settings.write(f"primary_conninfo = 'host={primary} user=postgres application_name={self._name}'\n")
        self.host.mkdir()
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", "postgres:", self._data, self.host], check=True)
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self._data)

    def start(self):
        words = [self._programs / "postgres", "-D", self._data, "-c", "listen_addresses=", "-c",
                 f"unix_socket_directories={self.host}"]
        # Dies with the tests, however they end.
        user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        with open(self.host / "log", "a") as log:
            self._server = subprocess.Popen(
                ["setpriv", "--pdeathsig=QUIT", *user, "--", *words], stdout=log, stderr=log, cwd="/",
                start_new_session=True)
        eventually(lambda: self.run("SELECT 1"))  # see `log` beside the socket if not

    def kill(self):
        """At once, as a machine that loses its power."""
        if self._server:
            with suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._server = None

    def promote(self):
        self.run("SELECT pg_promote()")
        eventually(lambda: self.run("SELECT pg_is_in_recovery()") == "f")

    def run(self, sql, role="postgres"):
        """What psql says; empty when it can't be reached."""
        words = ["psql", "-XqAt", "-h", self.host, "-U", role, "-d", "shacache", "-c", sql]
        return subprocess.run(words, capture_output=True, text=True).stdout.strip()

    def is_streaming(self):
        with suppress(DatabaseError):
            return Database(self._stack).run(
                f"SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND application_name = '{self._name}'",
                role="postgres")
