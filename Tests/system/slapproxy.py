"""slapos.core's slapproxy as a small network cache, and the files that it makes of what the deployed client sends."""

import json
import subprocess
import textwrap

from deployed import client_of
from node import CLEAN
from stack import REPOSITORY, eventually, free_port

PROGRAM = "import sys; from slapos.cli.entry import main; sys.exit(main())"


class Slapproxy:
    def __init__(self, directory):
        directory.mkdir(exist_ok=True)
        self.content, self.metadata = directory / "content", directory / "metadata"
        self.content.mkdir(exist_ok=True)
        self.metadata.mkdir(exist_ok=True)
        self._log = directory / "log"
        port = free_port()
        self.cache_url, self.dir_url = (f"http://127.0.0.1:{port}/shacache/{name}" for name in ("cache", "dir"))
        self._config = directory / "slapos.cfg"
        self._config.write_text(textwrap.dedent(f"""\
            [slapos]
            computer_id = local_computer
            master_url = http://127.0.0.1:{port}
            [slapproxy]
            host = 127.0.0.1
            port = {port}
            database_uri = {directory}/master.db
            shacache_content_directory = {self.content}
            shacache_metadata_directory = {self.metadata}
            """))

    def __enter__(self):
        made = subprocess.run([REPOSITORY / "ops/test-venv", "slapgrid"], check=True, stdout=subprocess.PIPE, text=True)
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [f"{made.stdout.strip()}/bin/python", "-c", PROGRAM, "proxy", "start", "--cfg", self._config], env=CLEAN,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(lambda: "Running on" in self._log.read_text() or self._process.poll() is not None, 60)
        assert self._process.poll() is None, self._log.read_text()
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(20)

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
