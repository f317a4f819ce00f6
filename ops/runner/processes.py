"""Processes as /proc shows them, how to end them without ever signalling a stranger that got their number, and the
record of them on disk, by which the next run finds what a killed one left."""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Iterator

from .state import State, write_file


# A signal that asks for the end, and the timeout in seconds before the next step.
Step = tuple[signal.Signals, float]


@dataclass(frozen=True)
class Process:
    """A line of /proc/PID/stat."""

    pid: int
    name: str
    parent: int
    session: int
    started: int  # clock ticks since boot: with the pid it is never another process


def running() -> Iterator[Process]:
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (process := look_up(int(entry))):
            yield process


def look_up(pid: int) -> Process | None:
    """None also for a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes().decode(errors="replace")
    except OSError:
        return None
    # The name may hold spaces and parentheses; what follows the last one doesn't.
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    if fields[0] in "ZX":
        return None
    return Process(pid, head.partition("(")[2], int(fields[1]), int(fields[3]), int(fields[19]))


@dataclass(frozen=True)
class Generation:
    """One start of a service. It leads its own session, whose number isn't given out again while a member lives."""

    name: str
    pid: int
    started: int

    @classmethod
    def of(cls, name: str, pid: int) -> "Generation":
        leader = look_up(pid)
        return cls(name, pid, leader.started if leader else 0)

    def members(self) -> list[Process]:
        """What is alive of it: the leader, and what a dead leader left behind."""
        found = [process for process in running() if process.session == self.pid]
        for process in found:
            if process.pid == self.pid and process.started != self.started:
                return []  # another program's session by now
        return [process for process in found if process.pid == self.pid or process.name == self.name]


def with_directory(name: str, directory: Path) -> list[Process]:
    """The processes of that name that work in `directory`. PostgreSQL's backends each lead their own session."""

    def works_there(process: Process) -> bool:
        try:
            return os.readlink(f"/proc/{process.pid}/cwd") == str(directory)
        except OSError:
            return False

    return [process for process in running() if process.name == name and works_there(process)]


def end(
    find: Callable[[], list[Process]],
    steps: tuple[Step, ...],
    pause: Callable[[], None],
    hurried: Callable[[], bool] = lambda: False,
) -> None:
    """Returns when no process is left. Only the topmost are signalled: they end their children."""
    for number, timeout in steps:
        asked: set[Process] = set()
        begun = time.monotonic()
        while processes := find():
            waited = time.monotonic() - begun
            if waited > timeout or (hurried() and waited > 1):
                break
            pids = {process.pid for process in processes}
            for process in processes:
                if process.parent not in pids and process not in asked:
                    asked.add(process)
                    send(process, number)
            pause()
        else:
            return


def send(process: Process, number: signal.Signals) -> None:
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        pass


# Process numbers and start times count from the boot.
_BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class ProcessRecord:
    """The generations that this run has started."""

    def __init__(self, state: State):
        self._path = state.run / "processes.json"

    def write(self, generations: Iterable[Generation]) -> None:
        entries = [[generation.name, generation.pid, generation.started] for generation in generations]
        write_file(self._path, json.dumps({"boot": _BOOT, "processes": entries}))

    def read(self) -> list[Generation]:
        try:
            found = json.loads(self._path.read_text())
        except FileNotFoundError:
            return []
        return [Generation(*entry) for entry in found["processes"]] if found["boot"] == _BOOT else []

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
