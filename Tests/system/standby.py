"""PostgreSQL servers beside a cache's own."""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from stack import Database, DatabaseError, eventually


def programs(data):
    """The directory of those that made these files, or will."""
    return Path(f"/usr/lib/postgresql/{(data / 'PG_VERSION').read_text().strip()}/bin")


class Server:
    """A PostgreSQL on its files in `data`, with its socket in `host`. It dies with the tests, however they end."""

    def __init__(self, data, host):
        self.data, self.host = data, host
        self._server = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        words = [programs(self.data) / "postgres", "-D", self.data, "-c", "listen_addresses=", "-c",
                 f"unix_socket_directories={self.host}"]
        user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        with open(self.host / "log", "a") as log:
            self._server = subprocess.Popen(
                ["setpriv", "--pdeathsig=QUIT", *user, "--", *words], stdout=log, stderr=log, cwd="/",
                start_new_session=True)
        eventually(lambda: self.run("SELECT 1", database="postgres"))  # see `log` beside the socket if not

    def stop(self):
        """In order."""
        if self._server:
            self._server.send_signal(signal.SIGINT)
            self._server.wait()
            self._server = None

    def kill(self):
        """At once, as a machine that loses its power."""
        if self._server:
            with suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._server = None

    def run(self, sql, role="postgres", database="shacache"):
        """What psql says; empty when it can't be reached."""
        words = ["psql", "-XqAt", "-h", self.host, "-U", role, "-d", database, "-c", sql]
        return subprocess.run(words, capture_output=True, text=True).stdout.strip()


def base_backup(stack, data, *words):
    """Makes a copy of a running cache's PostgreSQL, as pg_basebackup does it."""
    access = stack.state / "pgdata/pg_hba.conf"
    access.write_text(access.read_text() + "local replication all peer map=shacache\n")
    Database(stack).run("SELECT pg_reload_conf()", role="postgres")
    primary = stack.state / "run/postgresql"
    backup = [programs(stack.state / "pgdata") / "pg_basebackup", "-D", data, "-h", primary, "-U", "postgres",
              "-c", "fast", *words]
    eventually(lambda: subprocess.run(backup, capture_output=True).returncode == 0)
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "postgres:", data], check=True)
    return primary


class Standby(Server):
    """One that follows a cache's own. `name` is what the primary knows it by; its socket is `directory`/run."""

    def __init__(self, stack, directory, name="standby"):
        super().__init__(directory / "data", directory / "run")
        self._stack = stack
        self._name = name

    def __enter__(self):
        primary = base_backup(self._stack, self.data, "-R")
        with open(self.data / "postgresql.auto.conf", "a") as settings:
            settings.write(f"primary_conninfo = 'host={primary} user=postgres application_name={self._name}'\n")
        self.host.mkdir()
        if os.getuid() == 0:
            shutil.chown(self.host, "postgres", "postgres")
        return super().__enter__()

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.data)

    def promote(self):
        self.run("SELECT pg_promote()")
        eventually(lambda: self.run("SELECT pg_is_in_recovery()") == "f")

    def is_streaming(self):
        with suppress(DatabaseError):
            return Database(self._stack).run(
                f"SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND application_name = '{self._name}'",
                role="postgres")
