"""Keeps the services running, and ends them in order: nothing is taken from under a request that still needs it."""

from .failure import Failure
from .processes import end
from .record import Record
from .service import OFTEN, Service
from .signals import Signals
from .state import State
from .talk import say


class Supervisor:
    def __init__(self, state: State, signals: Signals):
        self._signals = signals
        self._record = Record(state)
        self._services: list[Service] = []

    def add(self, service: Service) -> None:
        self._services.append(service)
        self._start(service)

    def _start(self, service: Service) -> None:
        service.start()
        self._record.write(generation for each in self._services for generation in each.generations)

    def revive(self) -> None:
        """Starts again what died since the last call."""
        for service in self._services:
            if how := service.death():
                if service.failures >= OFTEN:
                    raise Failure(f"{how}, {OFTEN} times in a row; {service.log} ends with\n{service.last_words()}")
                say(f"shacache: {how}, is started again")
                service.make_room()
            if service.wants_start():
                self._start(service)

    def wait(self, seconds: float) -> None:
        self.revive()
        self._signals.wait(seconds)

    def stop(self) -> None:
        """The last started first. Those whose turn hasn't come go on being revived: an upload may take a while.

        There is time for it when somebody asked for the end once; not twice, and not after a failure.
        """
        while self._services:
            service = self._services.pop()
            end(
                service.processes,
                service.end_steps,
                pause=self._wait_whatever_happens,
                hurried=lambda: self._signals.requests != 1,
            )
            service.forget()
        self._record.remove()

    def _wait_whatever_happens(self) -> None:
        try:
            self.wait(0.05)
        except (Failure, OSError):
            pass  # of a service that is about to be ended anyway
