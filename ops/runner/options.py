"""STATE/options.toml: a person's own tables, which each start puts into the shacache.toml that it writes."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from .settings import Failure

OURS = ("database", "store", "site", "ca", "metrics")  # tables that make run writes
FETCHING = re.compile(r"^[ \t]*\[[ \t]*fetching[ \t]*\].*$", re.MULTILINE)


@dataclass(frozen=True)
class Options:
    text: str  # of shacache.toml, from [fetching] on
    upstreams: list[str]  # their names

    @classmethod
    def read(cls, path: Path, socket: Path) -> "Options":
        """Of no file, what is always there: where the fetcher listens. Raises `Failure` for what can't be put in."""
        ours = f'[fetching]\nsocket = "{socket}"'
        if not path.exists():
            return cls(f"{ours}\n", upstreams=[])
        text = path.read_text()
        try:
            tables = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Failure(f"{path}: {error}") from None
        for name, table in tables.items():
            if name in OURS or not isinstance(table, (dict, list)):
                raise Failure(f"{path}: {name}: can't be set here", f"take another file than {path.name}, or settings of make run")
        if "fetching" not in tables:
            text = f"{ours}\n\n{text}"
        elif "socket" in tables["fetching"] or not FETCHING.search(text):
            raise Failure(f"{path}: fetching: is to be a table of its own, and without socket")
        else:
            text = FETCHING.sub(lambda _: ours, text, count=1)
        # What isn't as it should be, the programs say.
        upstreams = tables.get("upstream", [])
        names = [str(table.get("name")) for table in upstreams if isinstance(table, dict)]
        return cls(f"{text}\n", upstreams=names)
