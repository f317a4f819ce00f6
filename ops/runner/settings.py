"""What a person may set, checked once; and what a person is told."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Mapping

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PAGE = REPOSITORY / "page"  # templates and style
INSTALL = "run ops/install-packages run"  # the hint where something of Debian's is missing


@dataclass(frozen=True)
class Settings:
    """The environment variables of `make run`."""

    state: Path
    programs: Path  # the directory of shacached, shacache-page, shacache-fetcher and shacache-admin
    http_port: int
    https_port: int
    workers: int
    anonymous: bool
    direct: bool
    upstreams: list[tuple[str, str]]  # the URLs of blobs and of the directory of each
    upstream_authority: Path | None  # by which these are known

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises `Failure` for a value that makes no sense."""
        settings = cls(
            state=_path(environ, "STATE", Path("var")),
            programs=_path(environ, "BIN", REPOSITORY / ".build" / "release"),
            http_port=_number(environ, "HTTP_PORT", 8080, 65535),
            https_port=_number(environ, "HTTPS_PORT", 8443, 65535),
            workers=_number(environ, "WORKERS", 2, 64),
            anonymous=_switch(environ, "ANONYMOUS"),
            direct=_switch(environ, "DIRECT"),
            upstreams=_upstreams(environ),
            upstream_authority=Path(environ["UPSTREAM_CA"]) if environ.get("UPSTREAM_CA") else None,
        )
        if settings.http_port == settings.https_port:
            raise Failure(f"HTTPS_PORT {settings.https_port}: the same as HTTP_PORT")
        if settings.upstream_authority and not settings.upstreams:
            raise Failure("UPSTREAM_CA: goes with UPSTREAM, or UPSTREAM_SHACACHE and UPSTREAM_SHADIR")
        return settings


def _path(environ: Mapping[str, str], name: str, default: Path) -> Path:
    path = Path(environ.get(name) or default).resolve()
    # These paths are written into nginx.conf, TOML, a URL and shell commands as they are.
    for part in (path, REPOSITORY):
        if strange := re.search(r"[^\w./+@~-]", str(part)):
            raise Failure(
                f"{part}: the path holds {strange[0]!r}",
                "use a path of letters, digits and . _ - + @ ~",
            )
    return path


def _number(environ: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = environ.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= most:
        raise Failure(f"{name}={text}: not a number from 1 to {most}")
    return int(text)


def _switch(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name, "")
    if text not in ("", "0", "1"):
        raise Failure(f"{name}={text}: neither 0 nor 1")
    return text == "1"


def _upstreams(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Of UPSTREAM, where each URL of blobs has its directory's beside it; or of one whose URLs are both given."""
    blobs, directory = environ.get("UPSTREAM_SHACACHE", ""), environ.get("UPSTREAM_SHADIR", "")
    if bool(blobs) != bool(directory):
        raise Failure("UPSTREAM_SHACACHE and UPSTREAM_SHADIR: one goes with the other")
    pairs = [(blobs, directory)] if blobs else []
    for url in filter(None, environ.get("UPSTREAM", "").split(",")):
        if not url.endswith("/shacache"):
            raise Failure(
                f"UPSTREAM={url}: does not end with /shacache", "give both URLs, as UPSTREAM_SHACACHE and UPSTREAM_SHADIR"
            )
        pairs.append((url, url.removesuffix("shacache") + "shadir"))
    # They are written into TOML as they are.
    for url in (url for pair in pairs for url in pair):
        if not re.fullmatch(r"https?://[^\s\"\\?#]+", url):
            raise Failure(f"{url}: is no URL of an upstream")
    return pairs


class Failure(Exception):
    """Why the run can't go on: what, about which thing, why; and perhaps advice."""

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.hint = hint


def in_one_line(failure: Failure | OSError) -> str:
    """The message, with the hint on a line of its own."""
    if isinstance(failure, OSError):
        where = f"{failure.filename}: " if failure.filename else ""
        return f"shacache: {where}{(failure.strerror or str(failure)).lower()}"
    hint = f"\nshacache: hint: {failure.hint}" if failure.hint else ""
    return f"shacache: {failure}{hint}"


def say(text: str, *, to: IO[str] | None = None) -> None:
    """A closed terminal or pipe must not keep the services from being supervised and ended in order."""
    try:
        print(text, file=to or sys.stderr, flush=True)
    except OSError:
        pass
