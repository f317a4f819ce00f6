"""Which processes this run started, on disk: how the next run finds what a killed one left."""

import json
from pathlib import Path
from typing import Iterable

from .processes import Generation
from .state import State, write_file

# Process numbers and start times count from the boot.
_BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Record:
    def __init__(self, state: State):
        self._path = state.run / "processes.json"

    def write(self, generations: Iterable[Generation]) -> None:
        entries = [[generation.name, generation.pid, generation.started] for generation in generations]
        write_file(self._path, json.dumps({"boot": _BOOT, "processes": entries}))

    def read(self) -> list[Generation]:
        try:
            found = json.loads(self._path.read_text())
        except FileNotFoundError:
            return []
        return [Generation(*entry) for entry in found["processes"]] if found["boot"] == _BOOT else []

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
