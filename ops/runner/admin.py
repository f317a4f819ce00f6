"""shacache-admin, as a script uses it."""

import json
from pathlib import Path

from .command import finish
from .people import People
from .settings import Settings
from .state import State


class Admin:
    def __init__(self, settings: Settings, state: State, people: People):
        self._program = settings.programs / "shacache-admin"
        self._configuration = state.configuration
        self._people = people

    def do(self, *words: str | Path) -> str:
        return finish(self._people, self._people.me, [self._program, *words, "--config", self._configuration])

    def list(self, noun: str) -> list[dict]:
        return json.loads(self.do(noun, "list", "--json"))
