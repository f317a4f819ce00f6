"""slapos.core's slapproxy: a master, and a small network cache with files of what the deployed client sends."""

import json
import subprocess

from deployed import client_of
from node import CLEAN
from stack import REPOSITORY, eventually, free_port

COMPUTER = "local_computer"
PROGRAM = "import sys; from slapos.cli.entry import main; sys.exit(main())"


def venv_of_slapgrid():
    made = subprocess.run([REPOSITORY / "ops/test-venv", "slapgrid"], check=True, stdout=subprocess.PIPE, text=True)
    return made.stdout.strip()


class Slapproxy:
    """One process. `slapos`: the command, as a list; `options`: more of its section."""

    def __init__(self, directory, slapos=None, port=None, **options):
        directory.mkdir(exist_ok=True)
        self._slapos = slapos
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log, self.config = directory / "slapproxy.log", directory / "slapproxy.cfg"
        section = {"host": "127.0.0.1", "port": self.port, "database_uri": f"{directory}/slapproxy.db", **options}
        self.config.write_text("\n".join([
            "[slapos]", f"computer_id = {COMPUTER}", f"master_url = {self.url}",
            "[slapproxy]", *(f"{name} = {value}" for name, value in section.items()), ""]))

    def __enter__(self):
        slapos = self._slapos or [f"{venv_of_slapgrid()}/bin/python", "-c", PROGRAM]
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                [*slapos, "proxy", "start", "--cfg", self.config], env=CLEAN,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(lambda: "Running on" in self.log.read_text() or self._process.poll() is not None, 60)
        assert self._process.poll() is None, self.log.read_text()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends it; also when it has ended."""
        self._process.terminate()
        self._process.wait(20)


class SlapproxyCache(Slapproxy):
    """`upstream`: a cache of ours, from which it takes what it lacks."""

    def __init__(self, directory, upstream=None, port=None):
        self.content, self.metadata = directory / "content", directory / "metadata"
        options = {f"shacache_upstream_{name}_url": upstream.env[f"SHA{name.upper()}_URL"] for name in ("cache", "dir")} if upstream else {}
        super().__init__(
            directory, port=port, shacache_content_directory=self.content, shacache_metadata_directory=self.metadata, **options)
        self.content.mkdir(exist_ok=True)
        self.metadata.mkdir(exist_ok=True)
        self.cache_url, self.dir_url = (f"{self.url}/shacache/{name}" for name in ("cache", "dir"))

    def client(self, stack):
        """The deployed client, with the signing pair of a cache's configuration."""
        return client_of(
            stack, **{f"{direction}-{service}-url": url for direction in ("download", "upload")
                      for service, url in (("cache", self.cache_url), ("dir", self.dir_url))})

    def add(self, data=None, key=None, pairs=None):
        """Puts files where it keeps its own, right or wrong ones: the name of a blob is then the key."""
        if data is not None:
            (self.content / key).write_bytes(data)
        else:
            (self.metadata / key).write_text(pairs if isinstance(pairs, str) else json.dumps(pairs))
