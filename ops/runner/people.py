"""Who runs what. An ordinary user runs everything; root gives the database and the web to Debian's users for them."""

import os
import pwd
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .failure import Failure
from .talk import say


@dataclass(frozen=True)
class User:
    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> "User":
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise Failure(f"{name}: no such user", "run ops/install-packages run") from None
        return cls(name, entry.pw_uid, entry.pw_gid)

    @classmethod
    def current(cls) -> "User":
        try:
            return cls(pwd.getpwuid(os.geteuid()).pw_name, os.geteuid(), os.getegid())
        except KeyError:
            # PostgreSQL identifies who connects by name.
            raise Failure(f"uid {os.geteuid()}: has no name in the user database") from None


@dataclass
class People:
    me: User
    database: User
    web: User  # nginx and shacached: nginx's body files are readable by their owner alone
    capability: str | None = None  # what lets them into closed directories

    @classmethod
    def of_this_run(cls) -> "People":
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
