"""The programs of others and of ours that a run needs: better missed now than halfway."""

import os
import shutil
from pathlib import Path

from .failure import Failure

POSTGRES = Path("/usr/lib/postgresql/15/bin")

_INSTALL = "run ops/install-packages run"


def find_nginx() -> str:
    # Debian keeps it where an ordinary user's PATH doesn't look.
    path = shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")
    if not path:
        raise Failure("nginx: not found", _INSTALL)
    return path


def check_tools(programs: Path) -> None:
    find_nginx()
    for name in ("openssl", "setpriv"):
        if not shutil.which(name):
            raise Failure(f"{name}: not found", _INSTALL)
    for name in ("initdb", "postgres", "psql", "pg_isready"):
        if not os.access(POSTGRES / name, os.X_OK):
            raise Failure(f"{POSTGRES / name}: not found", _INSTALL)
    for name in ("shacached", "shacache-admin", "shacache-page"):
        if not os.access(programs / name, os.X_OK):
            raise Failure(f"{programs / name}: not found", "build first: make run does it")
