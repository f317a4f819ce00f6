"""strace on running processes: what they ask of the kernel, and faults put in their way."""

import os
import re
import signal
import subprocess
from dataclasses import dataclass

import processes
from stack import eventually

_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\w+|\?)")


@dataclass
class Call:
    name: str
    arguments: str  # descriptors with the path of their file
    result: str


class Trace:
    """Of processes with all their threads, until the block ends. Each thread's calls are kept apart, in their order.

    strace counts the `when` of an injection for each thread by itself.
    """

    def __init__(self, pids, directory, *options):
        self._directory = directory
        directory.mkdir()
        self._said = directory / "said"
        self._words = ["strace", "-ff", "-y", "-s", "512", "-o", str(directory / "thread")]
        self._words += [word for option in options for word in ([option] if option.startswith("-") else ["-e", option])]
        self._words += [word for pid in pids for word in ("-p", str(pid))]
        self._count = len(pids)
        self._kills = any("signal=KILL" in option for option in options)

    def __enter__(self):
        with open(self._said, "wb") as said:
            self._strace = subprocess.Popen(self._words, stderr=said)
        eventually(lambda: self._said.read_text().count("attached") >= self._count or self._strace.poll() is not None)
        assert self._strace.poll() is None, self._said.read_text()
        return self

    def __exit__(self, *_):
        # Lets go of the processes, which go on. Of those that it killed it must see the end by itself: interrupted
        # meanwhile, it waits for ever.
        if not self._kills:
            self._strace.send_signal(signal.SIGINT)
        try:
            self._strace.wait(20)
        finally:
            self._strace.kill()

    def calls(self, name):
        """Of this name, in any thread."""
        return [call for calls in self._threads() for call in calls if call.name == name]

    def thread_that(self, name, text):
        """All calls of the one thread that did this."""
        threads = [calls for calls in self._threads() if position(calls, name, text) is not None]
        assert len(threads) == 1, f"{len(threads)} threads called {name} with {text!r}"
        return threads[0]

    def _threads(self):
        for path in sorted(self._directory.glob("thread.*")):
            lines = path.read_text(errors="replace").splitlines()
            yield [Call(*match.groups()) for line in lines if (match := _CALL.match(line))]


def calls_of_an_upload(stack, directory, context=None):
    """What a worker asks of the kernel for its first upload of a small blob: the same in every fresh worker. By the
    account demo, unless the TLS context is another's."""
    worker = processes.fresh_worker(stack)
    with Trace([worker], directory / "trace") as trace:
        assert stack.request("POST", "/shacache", os.urandom(1000), context=context or stack.tls())[0] == 201
    return trace.thread_that("write", "201 Created")


def position(calls, name, text, further=0):
    """Where the call of this name with `text` in its arguments stands, or one that comes so many of its name later."""
    named = [index for index, call in enumerate(calls) if call.name == name]
    found = next((place for place, index in enumerate(named) if text in calls[index].arguments), None)
    return None if found is None else named[found + further]


def injection(calls, index, what):
    """strace's option that does `what` to a call like the one at `index`, in a process that does the same again."""
    name = calls[index].name
    count = sum(call.name == name for call in calls[:index + 1])
    return f"inject={name}:{what}:when={count}"
