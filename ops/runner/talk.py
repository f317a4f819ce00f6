"""What the runner says while it works."""

import sys
from typing import IO


def say(text: str, *, to: IO[str] | None = None) -> None:
    """A closed terminal or pipe must not keep the services from being watched over and ended in order."""
    try:
        print(text, file=to or sys.stderr, flush=True)
    except OSError:
        pass
