"""Which user runs what, and short commands run as that user to their end. An ordinary user runs everything; root
gives the database and the web to Debian's users for them."""

import json
import os
import pwd
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .settings import INSTALL, Failure, say


@dataclass(frozen=True)
class User:
    """A user of the system."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> "User":
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise Failure(f"{name}: no such user", INSTALL) from None
        return cls(name, entry.pw_uid, entry.pw_gid)

    @classmethod
    def current(cls) -> "User":
        try:
            return cls(pwd.getpwuid(os.geteuid()).pw_name, os.geteuid(), os.getegid())
        except KeyError:
            # PostgreSQL identifies its clients by name.
            raise Failure(f"uid {os.geteuid()}: has no name in the user database") from None


@dataclass
class Users:
    """The user of each part."""

    me: User
    database: User
    web: User  # nginx and shacached: nginx's body files are readable by their owner alone
    capability: str | None = None  # what lets them into closed directories

    @classmethod
    def of_this_run(cls) -> "Users":
        me = User.current()
        if me.uid != 0:
            return cls(me, me, me)
        return cls(me, User.named("postgres"), User.named("www-data"))

    def command(self, user: User, words: list[str], at_my_death: signal.Signals) -> list[str]:
        """`words` as `user`, told by the kernel when this process dies however it dies."""
        prefix = ["setpriv", f"--pdeathsig={at_my_death.name.removeprefix('SIG')}"]
        if user.uid != self.me.uid:
            prefix += [f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"]
            if self.capability:
                prefix += [f"--inh-caps=+{self.capability}", f"--ambient-caps=+{self.capability}"]
        return prefix + ["--"] + words

    def reach(self, directories: list[Path]) -> None:
        """Makes sure that every user can enter `directories`. Root's home, say, is closed to the others."""
        closed = self._closed(directories)
        if not closed:
            return
        # The second overrides more than is needed, but is the one that containers leave to root.
        for self.capability in ("dac_read_search", "dac_override"):
            if not self._closed(directories):
                say(f"shacache: {closed}, so the services get CAP_{self.capability.upper()}")
                return
        raise Failure(closed, "choose a STATE, and a place for this repository, that all may enter (chmod a+x)")

    def _closed(self, directories: list[Path]) -> str | None:
        for user in (self.database, self.web):
            for directory in directories:
                # Not test(1): access() takes no notice of a capability.
                words = self.command(user, ["stat", f"{directory}/."], signal.SIGKILL)
                if subprocess.run(words, capture_output=True).returncode != 0:
                    return f"{directory}: {user.name} can't enter it"
        return None


ENVIRONMENT = {
    # libpq would let PGHOST, PGOPTIONS and their like override our options.
    **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
    "LC_ALL": "C.UTF-8",
}


def finish(users: Users, user: User, words: list[str | Path], *, text: str = "") -> str:
    """Its standard output. When it fails, the last line of its output is the reason."""
    words = [str(word) for word in words]
    done = subprocess.run(
        # Killed with this process: the next start finds no process still writing under STATE.
        users.command(user, words, signal.SIGKILL),
        input=text,
        capture_output=True,
        text=True,
        cwd="/",
        env=ENVIRONMENT,
        start_new_session=True,
    )
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        reason = lines[-1] if lines else f"ended with {done.returncode}"
        raise Failure(f"{' '.join([Path(words[0]).name, *words[1:3]])}: {reason}")
    return done.stdout


def succeeds(users: Users, words: list[str | Path]) -> bool:
    """Whether it exits with 0."""
    try:
        finish(users, users.me, words)
    except Failure:
        return False
    return True


class Admin:
    """shacache-admin, as a script uses it."""

    def __init__(self, program: Path, configuration: Path, users: Users):
        self._program = program
        self._configuration = configuration
        self._users = users

    def do(self, *words: str | Path) -> str:
        return finish(self._users, self._users.me, [self._program, *words, "--config", self._configuration])

    def list(self, noun: str) -> list[dict]:
        return json.loads(self.do(noun, "list", "--json"))
