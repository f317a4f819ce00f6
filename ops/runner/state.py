"""The directory under which everything lies: its paths, their owners, and the lock of the one runner that has it."""

import fcntl
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from .commands import Users, User
from .settings import Failure

# sun_path holds 108 bytes with the NUL; a longer path can't be bound.
SOCKET_PATH_LIMIT = 107


class State:
    """The paths below STATE."""

    def __init__(self, root: Path):
        self.root = root
        self.run = root / "run"
        self.postgres_socket = root / "run" / "postgresql"
        self.metrics = root / "run" / "metrics"
        self.pgdata = root / "pgdata"
        self.ca = root / "ca"
        self.tls = root / "tls"
        self.client = root / "client"
        self.store = root / "store"
        self.log = root / "log"
        self.nginx = root / "nginx"
        self.upstream_authority = self.tls / "upstream-ca.crt"
        self.configuration = root / "shacache.toml"
        self.options = root / "options.toml"
        self.env = root / "env"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds STATE for this process alone; the kernel lets go of it however the process ends."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = open(self.root / "lock", "a+")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Failure(f"{self.root}: can't be written to: {reason}", "set STATE to a directory of yours") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise Failure(
                    f"{self.root}: in use by another run (pid {lock.read().strip()})",
                    "end that one, or choose another STATE, HTTP_PORT and HTTPS_PORT",
                ) from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield

    def check_socket_paths(self) -> None:
        longest = self.postgres_socket / ".s.PGSQL.5432"
        if len(os.fsencode(longest)) > SOCKET_PATH_LIMIT:
            raise Failure(
                f"{longest}: longer than the {SOCKET_PATH_LIMIT} bytes that a socket's path may have",
                "choose a STATE with a shorter path",
            )

    def make_directories(self, users: Users) -> None:
        """Those that exist are left as they are: STATE may have been a directory before."""
        for path, owner, mode in (
            (self.run, users.me, 0o755),
            (self.postgres_socket, users.database, 0o755),
            (self.metrics, users.web, 0o750),
            (self.ca, users.me, 0o700),
            (self.tls, users.me, 0o755),
            (self.client, users.me, 0o755),
            (self.log, users.me, 0o755),
            (self.nginx, users.me, 0o755),
            (self.nginx / "temp", users.web, 0o700),
            (self.store, users.web, 0o750),
            # nginx makes only what lies in it, and may be there before a worker is.
            (self.store / "incoming", users.web, 0o750),
        ):
            if not path.exists():
                make_directory(path, owner, mode)
            _refuse_foreign(path, owner)
        if self.pgdata.exists():
            _refuse_foreign(self.pgdata, users.database)


def _refuse_foreign(path: Path, owner: User) -> None:
    """A STATE stays its first user's: under another, its files couldn't be read, or would change owner."""
    if path.stat().st_uid != owner.uid:
        raise Failure(
            f"{path}: belongs to uid {path.stat().st_uid}, not to {owner.name}",
            "run as the user who made this STATE, or choose another",
        )


def make_directory(path: Path, owner: User, mode: int) -> None:
    """Under its name it is complete, whenever this is killed."""
    beside = path.with_name(path.name + ".new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    os.chown(beside, owner.uid, owner.gid)
    beside.chmod(mode)
    beside.rename(path)


def write_file(path: Path, text: str) -> None:
    """Readers see the old file or the new one, whenever this is killed.

    After a power cut they may see neither: every start writes these files anew.
    """
    beside = path.with_name(path.name + ".new")
    with open(beside, "w") as file:
        file.write(text)
    beside.rename(path)
