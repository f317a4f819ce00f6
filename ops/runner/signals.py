"""How a person's wish to end reaches the runner: as a count, and as an exception while it sets up."""

import os
import select
import signal


class Interrupted(Exception):
    """Ctrl-C, SIGTERM or a closed terminal during the set-up."""


class Signals:
    def __init__(self) -> None:
        self.requests = 0  # how often somebody asked for the end
        self._raising = False
        self._pipe, wakeup = os.pipe()
        os.set_blocking(self._pipe, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it
            signal.signal(signal.SIGHUP, self._ask)
        # Does nothing, but a handler must stand for `wait` to be woken by a child's death.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _ask(self, number: int, frame: object) -> None:
        self.requests += 1
        if self._raising:
            self._raising = False
            raise Interrupted

    def interrupt(self) -> None:
        """From here on, or at once if somebody asked before, `Interrupted` is raised."""
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
