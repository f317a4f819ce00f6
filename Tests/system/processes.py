"""The processes of a cache, as /proc shows them."""

import os
import signal
from http.client import HTTPException
from pathlib import Path

from stack import eventually


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def of(stack):
    """Every process that works in STATE, was started with a path in it, or has a file of it open."""
    state = str(stack.state)
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if is_alive(pid) and _uses(pid, state)]


def _uses(pid, state):
    process = Path(f"/proc/{pid}")
    try:
        if state in (process / "cmdline").read_bytes().decode(errors="replace"):
            return True
        return any(os.readlink(link).startswith(state) for link in [process / "cwd", *(process / "fd").iterdir()])
    except OSError:
        return False  # gone meanwhile, or somebody else's


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def named(stack, name):
    """Those of them that run this program."""
    return [pid for pid in of(stack) if _program(pid) == name]


def _program(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None  # ended since it was listed


def send(stack, name, number=signal.SIGKILL):
    """Sends a service a signal, and waits until the runner has put another in its place; returns the new pid."""
    old = stack.pid(name)
    os.kill(old, number)
    return eventually(lambda: (new := stack.pid(name)) != old and is_alive(new) and not is_alive(old) and new)


def fresh_worker(stack, name="worker-1"):
    """Another worker in place of this one, which has answered no upload yet, and has looked through the store: what its
    main thread asks of the kernel is then no upload's."""
    send(stack, name)
    wait_until_live(stack)
    return eventually(lambda: "sigtimedwait" in _wait_channel(pid := stack.pid(name)) and pid)


def _wait_channel(pid):
    """The kernel function in which the main thread of a process sleeps; empty when the process has ended."""
    try:
        return Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return ""


def wait_until_live(stack):
    eventually(lambda: is_live(stack))


def is_live(stack):
    """Whether nginx and a worker answer."""
    try:
        return stack.request("GET", "/-/live", timeout=10)[0] == 200
    except (OSError, HTTPException):
        return False
