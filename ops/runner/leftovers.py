"""A run that was killed with -9 could end nothing in order: the next one does it first."""

from .cluster import Postgres, processes_in
from .nginx import Nginx
from .processes import Process, end
from .record import Record
from .signals import Signals
from .state import State
from .talk import say
from .worker import Page, Worker

PATIENCE = 10.0


def end_leftovers(state: State, signals: Signals) -> None:
    record = Record(state)
    generations = record.read()
    for service in (Nginx, Page, Worker, Postgres):

        def left() -> list[Process]:
            found = {member for old in generations if old.name == service.program for member in old.members()}
            return list(found.union(processes_in(state.pgdata) if service is Postgres else ()))

        if processes := left():
            say(f"shacache: {service.program} of an earlier run is still there (pid {processes[0].pid}), is ended")
            steps = tuple((number, min(patience, PATIENCE)) for number, patience in service.end_steps)
            end(left, steps, pause=lambda: signals.wait(0.05), hurried=lambda: signals.requests > 0)
    for file in state.run.glob("*.pid"):
        file.unlink()
    record.remove()
