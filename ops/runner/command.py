"""A short command, run to its end."""

import os
import signal
import subprocess
from pathlib import Path

from .failure import Failure
from .people import People, User

ENVIRONMENT = {
    # libpq would let PGHOST, PGOPTIONS and their like overrule what is said here.
    **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
    "LC_ALL": "C.UTF-8",
}


def finish(people: People, user: User, words: list[str | Path], *, text: str = "") -> str:
    """Its standard output. When it fails, what it said last is the reason."""
    words = [str(word) for word in words]
    done = subprocess.run(
        # Killed with this process: the next start finds nobody still writing under STATE.
        people.command(user, words, signal.SIGKILL),
        input=text,
        capture_output=True,
        text=True,
        cwd="/",
        env=ENVIRONMENT,
        start_new_session=True,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        reason = said[-1] if said else f"ended with {done.returncode}"
        raise Failure(f"{' '.join([Path(words[0]).name, *words[1:3]])}: {reason}")
    return done.stdout


def succeeds(people: People, words: list[str | Path]) -> bool:
    try:
        finish(people, people.me, words)
    except Failure:
        return False
    return True
