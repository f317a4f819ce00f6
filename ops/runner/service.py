"""One child that is kept running."""

import signal
import subprocess
import time
from pathlib import Path
from typing import IO

from .command import ENVIRONMENT
from .processes import Generation, Process, Step
from .state import write_file

# A child that ends by itself this soon, so often in a row, will not do better the next time.
SOON = 5.0
OFTEN = 5
PAUSE = 0.5


class Service:
    """How it is started, found, and asked to end; the subclasses know what they leave when they are killed."""

    program: str  # its name in /proc
    end_steps: tuple[Step, ...]
    stdin: int | IO = subprocess.DEVNULL
    stdout: int | IO | None = None  # to the log, with what it says on stderr

    def __init__(self, name: str, words: list[str], log: Path, pid_file: Path):
        self.name = name
        self.log = log
        self.generations: list[Generation] = []
        self.failures = 0
        self._words = words
        self._pid_file = pid_file
        self._child: subprocess.Popen[bytes] | None = None
        self._started = self._not_before = 0.0
        self._said_before = 0

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self._said_before = log.tell()
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
        by_itself = status != -signal.SIGKILL and time.monotonic() - self._started < SOON
        self.failures = self.failures + 1 if by_itself else 0
        self._not_before = time.monotonic() + (PAUSE if by_itself else 0)
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"
        return f"{self.name} (pid {pid}) {how}"

    def wants_start(self) -> bool:
        return self._child is None and time.monotonic() >= self._not_before

    def forget(self) -> None:
        """After its end: nobody should take the number in its pid file for it."""
        if self._child:
            self._child.poll()
        self._pid_file.unlink(missing_ok=True)

    def last_words(self) -> str:
        """What it said since its last start."""
        with open(self.log, "rb") as log:
            log.seek(self._said_before)
            return "\n".join(log.read(65536).decode(errors="replace").splitlines()[-5:])
