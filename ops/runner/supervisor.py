"""Keeps the services running until a signal asks for the end, and ends them in order: nothing is taken from under a
request that still needs it."""

import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

from .commands import ENVIRONMENT
from .processes import Generation, Process, ProcessRecord, Step, end
from .settings import Failure, say
from .state import State, write_file


class Interrupted(Exception):
    """Ctrl-C, SIGTERM or a closed terminal during the set-up."""


class Signals:
    """How a request to end reaches the runner: as a count, and as an exception while it sets up."""

    def __init__(self) -> None:
        self.requests = 0  # how often the end was requested
        self._raising = False
        self._pipe, wakeup = os.pipe()
        os.set_blocking(self._pipe, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it
            signal.signal(signal.SIGHUP, self._ask)
        # Does nothing, but without a handler `wait` isn't woken by a child's death.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _ask(self, number: int, frame: object) -> None:
        self.requests += 1
        if self._raising:
            self._raising = False
            raise Interrupted

    def interrupt(self) -> None:
        """From here on, or at once if the end was requested before, `Interrupted` is raised."""
        self._raising = True
        if self.requests:
            raise Interrupted

    def only_count(self) -> None:
        """From here on nothing is interrupted: the loops look at `requests`."""
        self._raising = False

    def wait(self, seconds: float) -> None:
        """Sleeps, but no longer than until the next signal."""
        if select.select([self._pipe], [], [], seconds)[0]:
            os.read(self._pipe, 4096)


# A crash loop: a child that exits by itself within so many seconds of its start, so often in a row.
CRASH_SECONDS = 5.0
CRASH_LIMIT = 5
CRASH_BACKOFF = 0.5  # seconds before the next start


class Service:
    """One child that is kept running: how it is started, found and ended. Subclasses know what they leave when
    killed."""

    program: str  # its name in /proc
    end_steps: tuple[Step, ...]
    stdin: int | IO = subprocess.DEVNULL
    stdout: int | IO | None = None  # to the log, with what it says on stderr

    def __init__(self, name: str, words: list[str], log: Path, pid_file: Path):
        self.name = name
        self.log = log
        self.generations: list[Generation] = []
        self.crashes = 0
        self._words = words
        self._pid_file = pid_file
        self._child: subprocess.Popen[bytes] | None = None
        self._started = self._not_before = 0.0
        self._log_start = 0

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self._log_start = log.tell()
            self._child = subprocess.Popen(
                self._words,
                stdin=self.stdin,
                stdout=self.stdout or log,
                stderr=log,
                cwd="/",
                env=ENVIRONMENT,
                start_new_session=True,  # the terminal's Ctrl-C is for the runner alone
            )
        self._started = time.monotonic()
        self.generations = [old for old in self.generations if old.members()]
        self.generations.append(Generation.of(self.program, self._child.pid))
        write_file(self._pid_file, f"{self._child.pid}\n")

    def processes(self) -> list[Process]:
        return [process for old in self.generations for process in old.members()]

    def make_room(self) -> None:
        """After a death: gets what is left of it out of the way of the next start."""

    def death(self) -> str | None:
        """How it died, once for each death."""
        if not self._child or self._child.poll() is None:
            return None
        status, pid, self._child = self._child.returncode, self._child.pid, None
        # Killed from outside, by a person, a test or the kernel: that says nothing about the next start.
        by_itself = status != -signal.SIGKILL and time.monotonic() - self._started < CRASH_SECONDS
        self.crashes = self.crashes + 1 if by_itself else 0
        self._not_before = time.monotonic() + (CRASH_BACKOFF if by_itself else 0)
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"
        return f"{self.name} (pid {pid}) {how}"

    def wants_start(self) -> bool:
        return self._child is None and time.monotonic() >= self._not_before

    def forget(self) -> None:
        """After its end: the number in its pid file may be another process's soon."""
        if self._child:
            self._child.poll()
        self._pid_file.unlink(missing_ok=True)

    def last_lines(self) -> str:
        """The last lines of its log since its last start."""
        with open(self.log, "rb") as log:
            log.seek(self._log_start)
            return "\n".join(log.read(65536).decode(errors="replace").splitlines()[-5:])


class Supervisor:
    """The services, in the order of their start."""

    def __init__(self, state: State, signals: Signals):
        self._signals = signals
        self._record = ProcessRecord(state)
        self._services: list[Service] = []

    def add(self, service: Service) -> None:
        """Starts it, and keeps it running from now on."""
        self._services.append(service)
        self._start(service)

    def _start(self, service: Service) -> None:
        service.start()
        self._record.write(generation for each in self._services for generation in each.generations)

    def revive(self) -> None:
        """Starts again what died since the last call."""
        for service in self._services:
            if how := service.death():
                if service.crashes >= CRASH_LIMIT:
                    raise Failure(
                        f"{how}, {CRASH_LIMIT} times in a row; {service.log} ends with\n{service.last_lines()}"
                    )
                say(f"shacache: {how}, is started again")
                service.make_room()
            if service.wants_start():
                self._start(service)

    def wait(self, seconds: float) -> None:
        """Restarts what died, then sleeps until the next signal, or for so long."""
        self.revive()
        self._signals.wait(seconds)

    def stop(self) -> None:
        """The last started first. Those whose turn hasn't come go on being revived: an upload may take a while.

        There is time for it after one request to end; not after a second, and not after a failure.
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
