"""The run from its first step to its last."""

import os
import resource
import shutil
import sys
import time
from pathlib import Path

from .certificates import make_authority, make_server_certificate, publish_authority
from .commands import Admin, Users, finish
from .demo import (
    ACCOUNT,
    Client,
    make_accounts,
    make_client_certificate,
    make_signing_pair,
    may_upload,
    write_client_configuration,
)
from .nginx import SNIPPETS, Nginx, check_ports, find_nginx, write_site
from .options import Options
from .postgresql import Postgres, find_postgres, make_cluster, open_database, processes_in
from .processes import Process, ProcessRecord, end
from .roundtrip import round_trip, wait_until_ready
from .settings import INSTALL, PAGE, REPOSITORY, Failure, Settings, say
from .state import State
from .supervisor import Signals, Supervisor
from .welcome import welcome, write_environment
from .workers import Fetcher, Page, Sockets, Worker, listening_sockets, write_configuration


def serve(settings: Settings) -> None:
    """Returns after a request to end; raises `Failure` when the cache can't start or go on, with all of it ended."""
    begun = time.monotonic()
    os.umask(0o022)
    check_tools(settings.programs)
    signals, users, state = Signals(), Users.of_this_run(), State(settings.state)
    state.check_socket_paths()
    with state.locked():
        state.env.unlink(missing_ok=True)
        end_leftovers(state, signals)
        signals.interrupt()
        check_ports(settings)
        find_postgres(state.pgdata)
        options = Options.read(state.options, state.run / "fetch.sock")
        prepare(settings, options, state, users)
        with listening_sockets(state, users) as sockets:
            supervisor = Supervisor(state, signals)
            try:
                client, steps = start(settings, options, state, users, sockets, supervisor)
                signals.only_count()
                write_environment(client, state)
                say(welcome(settings, options, state, client, time.monotonic() - begun, steps), to=sys.stdout)
                while not signals.requests:
                    supervisor.wait(0.25)
                say("shacache: ends when the requests in flight are answered; Ctrl-C again hastens it")
            finally:
                signals.only_count()
                state.env.unlink(missing_ok=True)
                supervisor.stop()


def prepare(settings: Settings, options: Options, state: State, users: Users) -> None:
    """All that needs nothing to run."""
    # Every connection is two descriptors; the customary soft limit of 1024 serves programs that use select().
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    state.make_directories(users)
    users.reach([state.root, settings.programs, SNIPPETS, PAGE])
    write_configuration(settings, state, options)
    finish(users, users.web, [settings.programs / "shacached", "--config", state.configuration, "--check-config"])
    write_site(settings, state, users)
    make_cluster(state, users)


def start(
    settings: Settings, options: Options, state: State, users: Users, sockets: Sockets, supervisor: Supervisor
) -> tuple[Client, list[str]]:
    """Everything in its order, up to the round trip; returns what that did."""
    admin, client = Admin(settings.programs / "shacache-admin", state.configuration, users), Client.of(settings, state)
    supervisor.add(Postgres(state, users, settings.workers))
    open_database(state, users, supervisor)
    admin.do("migrate", "--directory", REPOSITORY / "sql")
    make_authority(state, admin, users)
    publish_authority(state)
    make_server_certificate(state, users)
    make_accounts(settings, admin)
    make_client_certificate(client, admin, users)
    make_signing_pair(client, admin, users)
    write_client_configuration(client)
    for number in range(1, settings.workers + 1):
        supervisor.add(Worker(number, settings, state, users, sockets))
    supervisor.add(Page(settings, state, users, sockets))
    if settings.upstreams or options.upstreams:
        supervisor.add(Fetcher(settings, state, users, sockets))
    supervisor.add(Nginx(settings, state, users))
    wait_until_ready(settings, supervisor)
    if not may_upload(admin):
        return client, [f"no round trip: the account {ACCOUNT} is disabled"]
    return client, round_trip(client, users, state.run)


def check_tools(programs: Path) -> None:
    """A missing program is better reported now than halfway."""
    find_nginx()
    for name in ("openssl", "setpriv"):
        if not shutil.which(name):
            raise Failure(f"{name}: not found", INSTALL)
    for name in ("shacached", "shacache-admin", "shacache-page", "shacache-fetcher"):
        if not os.access(programs / name, os.X_OK):
            raise Failure(f"{programs / name}: not found", "build first: make run does it")


LEFTOVERS_TIMEOUT = 10.0  # seconds for each step of their end


def end_leftovers(state: State, signals: Signals) -> None:
    """A run that was killed with SIGKILL could end nothing in order: the next one does it first."""
    record = ProcessRecord(state)
    generations = record.read()
    for service in (Nginx, Page, Fetcher, Worker, Postgres):

        def left() -> list[Process]:
            found = {member for old in generations if old.name == service.program for member in old.members()}
            return list(found.union(processes_in(state.pgdata) if service is Postgres else ()))

        if processes := left():
            say(f"shacache: {service.program} of an earlier run is still there (pid {processes[0].pid}), is ended")
            steps = tuple((number, min(timeout, LEFTOVERS_TIMEOUT)) for number, timeout in service.end_steps)
            end(left, steps, pause=lambda: signals.wait(0.05), hurried=lambda: signals.requests > 0)
    for file in state.run.glob("*.pid"):
        file.unlink()
    record.remove()
