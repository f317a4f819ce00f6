"""nginx with the shipped snippets, as the web's user from the start: its ports are high."""

import os
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Iterator

from .commands import Users
from .processes import Process, end
from .settings import INSTALL, REPOSITORY, Failure, Settings
from .state import State, write_file
from .supervisor import Service


SNIPPETS = REPOSITORY / "nginx"
# Many more than cores: while a body comes faster than it is written, nginx reads on, and that process's other
# connections wait.
PROCESSES = 32
CONNECTIONS = 4096  # of each process
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

# What a distribution's nginx.conf holds in production. Built-in paths below /var would be refused to this user.
MAIN = """\
daemon off;
# For `nginx -t` by root, which gives the directories below to this user, or else to `nobody`.
user {user};
worker_processes {processes};
# Every request is looked at by some twenty patterns: compiled, they cost a sixth less of nginx's time.
pcre_jit on;
pid {temp}/nginx.pid;
events {{
    worker_connections {connections};
}}
http {{
{temporary}
    include {site};
}}
"""


def write_site(settings: Settings, state: State, users: Users) -> None:
    """The main file, and the site as an operator fills it in."""
    text = (SNIPPETS / "site.conf.in").read_text()
    for name, value in {
        "STORE": state.store,
        # The spool is this host's, by the name that the kernel tells a worker.
        "HOST": os.uname().nodename,
        "RUN": state.run,
        "TLS": state.tls,
        "LOG": state.log,
        "HTTP_PORT": settings.http_port,
        "LISTEN_HTTP": _listen(settings.http_port, ""),
        "LISTEN_HTTPS": _listen(settings.https_port, " ssl"),
        "LOCAL_WRITERS": "include shacache/local-writers.conf;" if settings.anonymous else "",
        "BLOB_ACCESS": f"include shacache/{'direct' if settings.direct else 'accelerated'}.conf;",
    }.items():
        text = text.replace(f"@{name}@", str(value))
    write_file(state.nginx / "site.conf", text)
    temp = state.nginx / "temp"
    temporary = "\n".join(f"    {name}_temp_path {temp}/{name};" for name in TEMPORARY)
    main = MAIN.format(
        user=users.web.name,
        processes=PROCESSES,
        connections=CONNECTIONS,
        temp=temp,
        temporary=temporary,
        site=state.nginx / "site.conf",
    )
    write_file(state.nginx / "nginx.conf", main)
    # nginx looks for includes beside its main file; in production they are in /etc/nginx/shacache.
    beside = state.nginx / "shacache.new"
    beside.unlink(missing_ok=True)
    beside.symlink_to(SNIPPETS)
    beside.rename(state.nginx / "shacache")


def _addresses() -> Iterator[tuple[socket.AddressFamily, str]]:
    """Where we listen: on this machine alone, at both of the addresses that `localhost` may stand for."""
    yield socket.AF_INET, "127.0.0.1"
    if not _refusal(socket.AF_INET6, "::1", 0):
        yield socket.AF_INET6, "::1"


def _listen(port: int, options: str) -> str:
    hosts = (address if family == socket.AF_INET else f"[{address}]" for family, address in _addresses())
    return " ".join(f"listen {host}:{port}{options};" for host in hosts)


def check_ports(settings: Settings) -> None:
    """Bound and let go again, before anything is started."""
    first_open = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    for name, port in (("HTTP_PORT", settings.http_port), ("HTTPS_PORT", settings.https_port)):
        if port < first_open:
            raise Failure(f"{name} {port}: only for root, which nginx doesn't run as", f"take {first_open} or more")
        for family, address in _addresses():
            if reason := _refusal(family, address, port):
                raise Failure(f"{name} {port}: {reason}", f"end what listens there, or set {name} to another port")


def _refusal(family: socket.AddressFamily, address: str, port: int) -> str | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As nginx does: connections of an earlier run that still close are no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


class Nginx(Service):
    """The master process, and its workers."""

    program = "nginx"
    # Gracefully without a limit: nginx itself times slow clients out, and a second Ctrl-C hastens it.
    end_steps = ((signal.SIGQUIT, float("inf")), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))

    def __init__(self, settings: Settings, state: State, users: Users):
        self._ports = (settings.http_port, settings.https_port)
        log = state.log / "nginx-error.log"
        for path in (log, state.log / "access.log"):
            path.touch()
            os.chown(path, users.web.uid, users.web.gid)
        words = [find_nginx(), "-e", str(log), "-p", str(state.nginx), "-c", str(state.nginx / "nginx.conf")]
        super().__init__(
            "nginx",
            users.command(users.web, words, signal.SIGQUIT),
            log=log,
            pid_file=state.run / "nginx.pid",
        )

    def make_room(self) -> None:
        # A killed master's workers keep the ports. Asked to finish, they close them at once, and then end
        # when they have served what they had begun.
        def in_the_way() -> list[Process]:
            free = not any(_refusal(*address, port) for address in _addresses() for port in self._ports)
            return [] if free else self.processes()

        end(in_the_way, ((signal.SIGQUIT, 0.5),), pause=lambda: time.sleep(0.01))


def find_nginx() -> str:
    """The path of the program."""
    # Debian keeps it where an ordinary user's PATH doesn't look.
    path = shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")
    if not path:
        raise Failure("nginx: not found", INSTALL)
    return path
