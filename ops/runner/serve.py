"""The run from its first step to its last."""

import os
import resource
import sys
import time

from .admin import Admin
from .certificates import make_authority, make_server_certificate, publish_authority
from .cluster import Postgres, make_cluster, open_database
from .command import finish
from .configuration import write_configuration
from .demo import (
    ACCOUNT,
    Client,
    make_accounts,
    make_client_certificate,
    make_signing_pair,
    may_upload,
    write_client_configuration,
)
from .environment import write_environment
from .leftovers import end_leftovers
from .nginx import SNIPPETS, Nginx, check_ports, write_site
from .people import People
from .roundtrip import round_trip, wait_until_ready
from .settings import PAGE, REPOSITORY, Settings
from .signals import Signals
from .state import State
from .supervisor import Supervisor
from .talk import say
from .tools import check_tools, find_postgres
from .welcome import welcome
from .worker import Page, Sockets, Worker, listening_sockets


def serve(settings: Settings) -> None:
    begun = time.monotonic()
    os.umask(0o022)
    check_tools(settings.programs)
    signals, people, state = Signals(), People.of_this_run(), State(settings.state)
    state.check_socket_paths()
    with state.locked():
        state.env.unlink(missing_ok=True)
        end_leftovers(state, signals)
        signals.interrupt()
        check_ports(settings)
        find_postgres(state.pgdata)
        prepare(settings, state, people)
        with listening_sockets(state, people) as sockets:
            supervisor = Supervisor(state, signals)
            try:
                client, steps = start(settings, state, people, sockets, supervisor)
                signals.only_count()
                write_environment(client, state)
                say(welcome(settings, state, client, time.monotonic() - begun, steps), to=sys.stdout)
                while not signals.requests:
                    supervisor.wait(0.25)
                say("shacache: ends when the requests in flight are answered; Ctrl-C again hastens it")
            finally:
                signals.only_count()
                state.env.unlink(missing_ok=True)
                supervisor.stop()


def prepare(settings: Settings, state: State, people: People) -> None:
    """All that needs nothing to run."""
    # Every connection is two descriptors; the customary soft limit of 1024 serves programs that use select().
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    state.make_directories(people)
    people.reach([state.root, settings.programs, SNIPPETS, PAGE])
    write_configuration(settings, state)
    finish(people, people.web, [settings.programs / "shacached", "--config", state.configuration, "--check-config"])
    write_site(settings, state, people)
    make_cluster(state, people)


def start(
    settings: Settings, state: State, people: People, sockets: Sockets, supervisor: Supervisor
) -> tuple[Client, list[str]]:
    """Everything in its order, up to the round trip; returns what that did."""
    admin, client = Admin(settings, state, people), Client.of(settings, state)
    supervisor.add(Postgres(state, people, settings.workers))
    open_database(state, people, supervisor)
    admin.do("migrate", "--directory", REPOSITORY / "sql")
    make_authority(state, admin, people)
    publish_authority(state)
    make_server_certificate(state, people)
    make_accounts(settings, admin)
    make_client_certificate(client, admin, people)
    make_signing_pair(client, admin, people)
    write_client_configuration(client)
    for number in range(1, settings.workers + 1):
        supervisor.add(Worker(number, settings, state, people, sockets))
    supervisor.add(Page(settings, state, people, sockets))
    supervisor.add(Nginx(settings, state, people))
    wait_until_ready(settings, supervisor)
    if not may_upload(admin):
        return client, [f"no round trip: the account {ACCOUNT} is disabled"]
    return client, round_trip(client, people, state.run)
