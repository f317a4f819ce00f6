"""What a burst cost: CPU of the measured servers by group, and what others took meanwhile."""

import os
from collections import Counter
from dataclasses import dataclass

TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds
KERNEL = 2  # kthreadd, from which all kernel threads descend: they write what we wrote to the disk
GROUPS = ("nginx", "worker", "PostgreSQL")


def group_of(program):
    """A column of the table. Another program than ours that answers requests is the worker of its server."""
    return {"nginx": "nginx", "postgres": "PostgreSQL"}.get(program, "worker")


@dataclass
class Reading:
    """Seconds of CPU until now: of the servers by group, and of all that are neither servers nor this process."""

    servers: Counter
    others: float

    @classmethod
    def take(cls, roots):
        """`roots` are the measured server's first processes."""
        processes = dict(_processes())
        servers, known = Counter(), 0.0
        for pid, (_, program, seconds) in processes.items():
            ancestors = set(_line(pid, processes))
            if ancestors & set(roots):
                servers[group_of(program)] += seconds
            if ancestors & {*roots, KERNEL, os.getpid()}:
                known += seconds
        return cls(servers, _busy() - known)

    def since(self, earlier):
        return Reading(self.servers - earlier.servers, self.others - earlier.others)


def _line(pid, processes):
    """A process and its ancestors."""
    while pid in processes:
        yield pid
        pid = processes[pid][0]


def _processes():
    """Parent, program, and seconds of CPU with those of children that have ended."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                head, tail = file.read().rsplit(") ", 1)
        except OSError:
            continue  # ended meanwhile
        fields = tail.split()
        yield int(name), (int(fields[1]), head.split("(", 1)[1], sum(map(int, fields[11:15])) * TICK)


def _busy():
    """Seconds that all cores were taken: by user, nice, system, and by the machine below a virtual one (steal)."""
    with open("/proc/stat") as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    return sum(fields[index] for index in (0, 1, 2, 7)) * TICK
