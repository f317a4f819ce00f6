"""The private PostgreSQL cluster: made once, reached over its unix socket alone."""

import os
import shutil
import signal
import time
from pathlib import Path

from .commands import Users, finish
from .processes import Process, end, look_up, with_directory
from .settings import INSTALL, REPOSITORY, Failure
from .state import State, write_file
from .supervisor import Service, Supervisor


# Of Debian's packages, one directory for each release.
RELEASES = Path("/usr/lib/postgresql")
OLDEST_RELEASE = 15

DATABASE = "shacache"
ROLES = (
    "postgres",
    "shacache_owner",
    "shacache_worker",
    "shacache_admin",
    "shacache_collector",
    "shacache_report",
    "shacache_page",
)
# Recovery after a crash replays the log; a new cluster is there at once.
START_TIMEOUT = 300.0


class Postgres(Service):
    """The postmaster, and its backends."""

    program = "postgres"
    # Smart shutdown would wait for idle sessions; fast ends them; the third recovers at the next start.
    end_steps = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))

    def __init__(self, state: State, users: Users, workers: int):
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
            users.command(users.database, words, signal.SIGINT),
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
    """The cluster's, whoever started them."""
    return with_directory("postgres", pgdata)


def make_cluster(state: State, users: Users) -> None:
    """Initializes it unless it is there, and writes who may connect."""
    owner = users.database
    if not state.pgdata.exists():
        beside = state.root / "pgdata.new"
        # A killed initdb's child may still be at it.
        end(lambda: processes_in(beside), ((signal.SIGKILL, 5.0),), pause=lambda: time.sleep(0.01))
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(mode=0o700)
        os.chown(beside, owner.uid, owner.gid)
        words = ["-D", beside, "-U", "postgres", "--auth=peer", "--data-checksums", "--encoding=UTF8"]
        finish(users, owner, [find_postgres(state.pgdata) / "initdb", *words, "--locale=C.UTF-8"])
        beside.rename(state.pgdata)
    _write_access(state, users)
    _forget_dead_postmaster(state)


def _write_access(state: State, users: Users) -> None:
    """Users that can read the files anyway may be any role; the web's user only the worker and the page."""
    persons = dict.fromkeys(["root", users.me.name, users.database.name])
    lines = [f"shacache {person} {role}" for person in persons for role in ROLES]
    if users.web.name not in persons:
        lines += [f"shacache {users.web.name} {role}" for role in ("shacache_worker", "shacache_page")]
    for name, text in (
        ("pg_hba.conf", "local all all peer map=shacache\n"),
        ("pg_ident.conf", "\n".join(lines) + "\n"),
    ):
        write_file(state.pgdata / name, text)


def _forget_dead_postmaster(state: State) -> None:
    """PostgreSQL takes a dead postmaster for a running one while it is a zombie, as in a container whose first process
    reaps none, or when a reboot gave its number to another process."""
    for lock in (state.pgdata / "postmaster.pid", state.postgres_socket / ".s.PGSQL.5432.lock"):
        try:
            process = look_up(int(lock.read_text().split()[0]))
        except (OSError, ValueError, IndexError):
            continue
        if not process or process.name != Postgres.program:
            lock.unlink()


def open_database(state: State, users: Users, supervisor: Supervisor) -> None:
    """Waits for the server, then makes the roles and the database that the migrations start from."""
    _wait_until_accepting(state, users, supervisor)
    server = ["-h", state.postgres_socket, "-U", "postgres"]
    psql = [find_postgres(state.pgdata) / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *server]
    finish(users, users.me, [*psql, "-d", "postgres", "-f", REPOSITORY / "sql" / "roles.sql"])
    there = f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"
    if not finish(users, users.me, [*psql, "-d", "postgres", "-c", there]).strip():
        made = f"CREATE DATABASE {DATABASE} OWNER shacache_owner"
        finish(users, users.me, [*psql, "-d", "postgres", "-c", made])


def _wait_until_accepting(state: State, users: Users, supervisor: Supervisor) -> None:
    begun = time.monotonic()
    pg_isready = find_postgres(state.pgdata) / "pg_isready"
    while True:
        try:
            finish(users, users.me, [pg_isready, "-q", "-h", state.postgres_socket, "-U", "postgres"])
            return
        except Failure:
            if time.monotonic() - begun > START_TIMEOUT:
                log = state.log / "postgres.log"
                raise Failure(f"postgres: not ready after {START_TIMEOUT:.0f} s; see {log}") from None
        supervisor.wait(0.05)


def find_postgres(pgdata: Path) -> Path:
    """The directory of the programs: of the release that made `pgdata`, or else of the newest one."""
    versions = {path.parent.parent.name for path in RELEASES.glob("*/bin/postgres") if os.access(path, os.X_OK)}
    made_by = pgdata / "PG_VERSION"
    if made_by.exists():
        version = made_by.read_text().strip()
        if version not in versions:
            raise Failure(
                f"{pgdata}: made by PostgreSQL {version}, which is not installed",
                f"install postgresql-{version}, or choose another STATE",
            )
        return RELEASES / version / "bin"
    numbers = [int(version) for version in versions if version.isdecimal()]
    newest = max(numbers, default=0)
    if newest < OLDEST_RELEASE:
        raise Failure(f"PostgreSQL {OLDEST_RELEASE} or newer: not found", INSTALL)
    return RELEASES / str(newest) / "bin"
