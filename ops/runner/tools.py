"""The programs of others and of ours that a run needs: better missed now than halfway."""

import os
import shutil
from pathlib import Path

from .failure import Failure

# Of Debian's packages, one directory for each release.
_POSTGRES = Path("/usr/lib/postgresql")
_OLDEST_POSTGRES = 15

_INSTALL = "run ops/install-packages run"


def find_nginx() -> str:
    # Debian keeps it where an ordinary user's PATH doesn't look.
    path = shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")
    if not path:
        raise Failure("nginx: not found", _INSTALL)
    return path


def find_postgres(pgdata: Path) -> Path:
    """The directory of the programs: of the release that made `pgdata`, or else of the newest one."""
    versions = {path.parent.parent.name for path in _POSTGRES.glob("*/bin/postgres") if os.access(path, os.X_OK)}
    made_by = pgdata / "PG_VERSION"
    if made_by.exists():
        version = made_by.read_text().strip()
        if version not in versions:
            raise Failure(
                f"{pgdata}: made by PostgreSQL {version}, which is not installed",
                f"install postgresql-{version}, or choose another STATE",
            )
        return _POSTGRES / version / "bin"
    numbers = [int(version) for version in versions if version.isdecimal()]
    newest = max(numbers, default=0)
    if newest < _OLDEST_POSTGRES:
        raise Failure(f"PostgreSQL {_OLDEST_POSTGRES} or newer: not found", _INSTALL)
    return _POSTGRES / str(newest) / "bin"


def check_tools(programs: Path) -> None:
    find_nginx()
    for name in ("openssl", "setpriv"):
        if not shutil.which(name):
            raise Failure(f"{name}: not found", _INSTALL)
    for name in ("shacached", "shacache-admin", "shacache-page"):
        if not os.access(programs / name, os.X_OK):
            raise Failure(f"{programs / name}: not found", "build first: make run does it")
