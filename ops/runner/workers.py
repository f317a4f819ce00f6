"""The workers, the page and the fetcher, their configuration, and the sockets that nginx reaches them through. The sockets outlive
any process: requests wait in their queue while one is started again."""

import os
import signal
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

from .commands import Users
from .options import Options
from .postgresql import DATABASE
from .settings import PAGE, Settings
from .state import State, write_file
from .supervisor import Service


def write_configuration(settings: Settings, state: State, options: Options) -> None:
    """shacache.toml, of all programs."""
    authority = ""
    if settings.upstream_authority:
        # Where every user of this run may read it.
        write_file(state.upstream_authority, settings.upstream_authority.read_text())
        authority = f'ca-file = "{state.upstream_authority}"\n'
    upstreams = "".join(
        f"""
[[upstream]]
name = "upstream-{number}"
shacache = "{blobs}"
shadir = "{directory}"
{authority}"""
        for number, (blobs, directory) in enumerate(settings.upstreams, 1)
    )
    write_file(
        state.configuration,
        f"""\
# Written by make run at each start; what is in {state.options} is added.
[database]
connection = "host={state.postgres_socket} dbname={DATABASE}"

[store]
directory = "{state.store}"

[site]
download-url = "http://localhost:{settings.http_port}"
upload-url = "https://localhost:{settings.https_port}"
authority = "{state.ca / "ca.crt"}"

[ca]
certificate = "{state.ca / "ca.crt"}"
key = "{state.ca / "ca.key"}"

[metrics]
directory = "{state.metrics}"
certificates = ["{state.tls / "server.crt"}", "{state.tls / "clients-ca.crt"}"]

{options.text}{upstreams}""",
    )


BACKLOG = 4096


@dataclass(frozen=True)
class Sockets:
    """Listening, and handed to each process that is started."""

    read: socket.socket
    write: socket.socket
    page: socket.socket
    fetch: socket.socket


@contextmanager
def listening_sockets(state: State, users: Users) -> Iterator[Sockets]:
    """Bound for the block, and removed after it."""
    paths = [state.run / name for name in ("read.sock", "write.sock", "page.sock", "fetch.sock")]
    try:
        yield Sockets(*(_listen(path, users) for path in paths))
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _listen(path: Path, users: Users) -> socket.socket:
    path.unlink(missing_ok=True)  # a killed run's
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    os.chown(path, users.web.uid, users.web.gid)
    path.chmod(0o660)
    listener.listen(BACKLOG)
    return listener


# As systemd passes sockets: from descriptor 3 on, and addressed to the process that is about to be the program.
_PASS_TWO = 'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=read:write exec "$@" 3<&0 4<&1 </dev/null >&2'
_PASS_ONE = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES={name} exec "$@" 3<&0 </dev/null'


class Worker(Service):
    """A shacached."""

    program = "shacached"
    end_steps = ((signal.SIGTERM, 60.0), (signal.SIGKILL, 5.0))

    def __init__(self, number: int, settings: Settings, state: State, users: Users, sockets: Sockets):
        self.stdin, self.stdout = sockets.read, sockets.write
        program = [str(settings.programs / "shacached"), "--config", str(state.configuration)]
        words = users.command(users.web, program, signal.SIGTERM)
        super().__init__(
            f"worker-{number}",
            ["sh", "-c", _PASS_TWO, "sh", *words],
            log=state.log / f"worker-{number}.log",
            pid_file=state.run / f"worker-{number}.pid",
        )


class Page(Service):
    """The shacache-page."""

    program = "shacache-page"
    end_steps = ((signal.SIGTERM, 30.0), (signal.SIGKILL, 5.0))

    def __init__(self, settings: Settings, state: State, users: Users, sockets: Sockets):
        self.stdin = sockets.page
        program = [str(settings.programs / "shacache-page"), "--config", str(state.configuration)]
        words = users.command(users.web, [*program, "--templates", str(PAGE)], signal.SIGTERM)
        super().__init__(
            "page",
            ["sh", "-c", _PASS_ONE.format(name="page"), "sh", *words],
            log=state.log / "page.log",
            pid_file=state.run / "page.pid",
        )


class Fetcher(Service):
    """The shacache-fetcher."""

    program = "shacache-fetcher"
    end_steps = ((signal.SIGTERM, 60.0), (signal.SIGKILL, 5.0))

    def __init__(self, settings: Settings, state: State, users: Users, sockets: Sockets):
        self.stdin = sockets.fetch
        program = [str(settings.programs / "shacache-fetcher"), "--config", str(state.configuration)]
        words = users.command(users.web, program, signal.SIGTERM)
        super().__init__(
            "fetcher",
            ["sh", "-c", _PASS_ONE.format(name="fetch"), "sh", *words],
            log=state.log / "fetcher.log",
            pid_file=state.run / "fetcher.pid",
        )
