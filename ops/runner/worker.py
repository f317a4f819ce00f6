"""The workers, and the two sockets that nginx reaches them through. The sockets outlive any worker:
requests wait in their queue while one is started again."""

import os
import signal
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

from .people import People
from .service import Service
from .settings import Settings
from .state import State

BACKLOG = 1024


@dataclass(frozen=True)
class Sockets:
    read: socket.socket
    write: socket.socket


@contextmanager
def listening_sockets(state: State, people: People) -> Iterator[Sockets]:
    paths = [state.run / "read.sock", state.run / "write.sock"]
    try:
        yield Sockets(*(_listen(path, people) for path in paths))
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _listen(path: Path, people: People) -> socket.socket:
    path.unlink(missing_ok=True)  # a killed run's
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    os.chown(path, people.web.uid, people.web.gid)
    path.chmod(0o660)
    listener.listen(BACKLOG)
    return listener


class Worker(Service):
    program = "shacached"
    end_steps = ((signal.SIGTERM, 60.0), (signal.SIGKILL, 5.0))

    # As systemd passes sockets: from descriptor 3 on, and addressed to the process that is about to be the worker.
    _PASS_SOCKETS = 'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=read:write exec "$@" 3<&0 4<&1 </dev/null >&2'

    def __init__(self, number: int, settings: Settings, state: State, people: People, sockets: Sockets):
        self.stdin, self.stdout = sockets.read, sockets.write
        program = [str(settings.programs / "shacached"), "--config", str(state.configuration)]
        words = people.command(people.web, program, signal.SIGTERM)
        super().__init__(
            f"worker-{number}",
            ["sh", "-c", self._PASS_SOCKETS, "sh", *words],
            log=state.log / f"worker-{number}.log",
            pid_file=state.run / f"worker-{number}.pid",
        )
