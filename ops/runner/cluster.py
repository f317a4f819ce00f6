"""The private PostgreSQL cluster: made once, reached over its unix socket alone."""

import os
import shutil
import signal
import time
from pathlib import Path

from .command import finish
from .failure import Failure
from .people import People
from .processes import Process, end, look_up, with_directory
from .service import Service
from .settings import REPOSITORY
from .state import State, write_file
from .supervisor import Supervisor
from .tools import find_postgres

DATABASE = "shacache"
ROLES = ("postgres", "shacache_owner", "shacache_worker", "shacache_admin", "shacache_report", "shacache_page")
# Recovery after a crash replays the log; a new cluster is there at once.
PATIENCE = 300.0


class Postgres(Service):
    program = "postgres"
    # Smart shutdown would wait for idle sessions; fast ends them; the third recovers at the next start.
    end_steps = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))

    def __init__(self, state: State, people: People, workers: int):
        self._pgdata = state.pgdata
        options = {
            "listen_addresses": "",
            "unix_socket_directories": state.postgres_socket,
            "hba_file": state.pgdata / "pg_hba.conf",
            "ident_file": state.pgdata / "pg_ident.conf",
            "max_connections": 50 + 50 * workers,
            # After a crash: one call in place of an fsync of each of a thousand files, which takes seconds.
            "recovery_init_sync_method": "syncfs",
        }
        words = [str(find_postgres(state.pgdata) / "postgres"), "-D", str(state.pgdata)]
        for name, value in options.items():
            words += ["-c", f"{name}={value}"]
        super().__init__(
            "postgres",
            people.command(people.database, words, signal.SIGINT),
            log=state.log / "postgres.log",
            pid_file=state.run / "postgres.pid",
        )

    def processes(self) -> list[Process]:
        return list({*super().processes(), *processes_in(self._pgdata)})

    def make_room(self) -> None:
        # No new postmaster starts while a backend of the old one is attached to the shared memory.
        end(
            self.processes,
            ((signal.SIGQUIT, 0.5), (signal.SIGKILL, 0.5)),
            pause=lambda: time.sleep(0.01),
        )


def processes_in(pgdata: Path) -> list[Process]:
    return with_directory("postgres", pgdata)


def make_cluster(state: State, people: People) -> None:
    owner = people.database
    if not state.pgdata.exists():
        beside = state.root / "pgdata.new"
        # A killed initdb's child may still be at it.
        end(lambda: processes_in(beside), ((signal.SIGKILL, 5.0),), pause=lambda: time.sleep(0.01))
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(mode=0o700)
        os.chown(beside, owner.uid, owner.gid)
        words = ["-D", beside, "-U", "postgres", "--auth=peer", "--data-checksums", "--encoding=UTF8"]
        finish(people, owner, [find_postgres(state.pgdata) / "initdb", *words, "--locale=C.UTF-8"])
        beside.rename(state.pgdata)
    _write_access(state, people)
    _forget_dead_postmaster(state)


def _write_access(state: State, people: People) -> None:
    """Who may be which role: those who can read the files anyway, any; the web's user only the worker and the page."""
    persons = dict.fromkeys(["root", people.me.name, people.database.name])
    lines = [f"shacache {person} {role}" for person in persons for role in ROLES]
    if people.web.name not in persons:
        lines += [f"shacache {people.web.name} {role}" for role in ("shacache_worker", "shacache_page")]
    for name, text in (
        ("pg_hba.conf", "local all all peer map=shacache\n"),
        ("pg_ident.conf", "\n".join(lines) + "\n"),
    ):
        write_file(state.pgdata / name, text)


def _forget_dead_postmaster(state: State) -> None:
    """PostgreSQL takes a dead postmaster for a running one while nobody has reaped it, as in a container whose
    first process doesn't, or when a reboot gave its number to somebody else."""
    for lock in (state.pgdata / "postmaster.pid", state.postgres_socket / ".s.PGSQL.5432.lock"):
        try:
            process = look_up(int(lock.read_text().split()[0]))
        except (OSError, ValueError, IndexError):
            continue
        if not process or process.name != Postgres.program:
            lock.unlink()


def open_database(state: State, people: People, supervisor: Supervisor) -> None:
    """Waits for the server, then makes the roles and the database that the migrations start from."""
    _wait_until_accepting(state, people, supervisor)
    psql = [find_postgres(state.pgdata) / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", state.postgres_socket, "-U", "postgres"]
    finish(people, people.me, [*psql, "-d", "postgres", "-f", REPOSITORY / "sql" / "roles.sql"])
    there = f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"
    if not finish(people, people.me, [*psql, "-d", "postgres", "-c", there]).strip():
        made = f"CREATE DATABASE {DATABASE} OWNER shacache_owner"
        finish(people, people.me, [*psql, "-d", "postgres", "-c", made])


def _wait_until_accepting(state: State, people: People, supervisor: Supervisor) -> None:
    begun = time.monotonic()
    pg_isready = find_postgres(state.pgdata) / "pg_isready"
    while True:
        try:
            finish(people, people.me, [pg_isready, "-q", "-h", state.postgres_socket, "-U", "postgres"])
            return
        except Failure:
            if time.monotonic() - begun > PATIENCE:
                raise Failure(f"postgres: not ready after {PATIENCE:.0f} s; see {state.log}/postgres.log") from None
        supervisor.wait(0.05)
