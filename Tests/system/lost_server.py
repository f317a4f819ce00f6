"""A server that was lost, and the one that takes its place."""

import os
import shutil
from contextlib import contextmanager

from stack import REPOSITORY, Stack, eventually
from standby import Server


class NewServer:
    """A cache that was installed and has nothing yet: its database is empty, and so is its store. `there` runs while no
    worker does; after `start`, `stack` serves."""

    def __init__(self, directory, **settings):
        self.stack = Stack(directory, **settings)
        self.stack.__enter__()
        self.stack.stop()
        self.empty_store()

    def empty_store(self):
        owner = self.stack.store.stat()
        shutil.rmtree(self.stack.store)
        self.stack.store.mkdir(mode=0o750)
        os.chown(self.stack.store, owner.st_uid, owner.st_gid)

    @contextmanager
    def database(self, empty=True):
        """PostgreSQL alone; with a new database unless told otherwise."""
        with Server(self.stack.state / "pgdata", self.stack.state / "run/postgresql") as server:
            if empty:
                server.run("DROP DATABASE IF EXISTS shacache WITH (FORCE)", database="postgres")
                server.run("CREATE DATABASE shacache OWNER shacache_owner", database="postgres")
            yield server

    def restore(self, *words, check=True):
        return self.stack.admin("restore", *words, "--sql", REPOSITORY / "sql", check=check)

    def take_keys(self, files, of):
        """The authority, the server's certificate and the client's key of the lost server, from a backup's `files`."""
        for name in "ca", "tls", "client":
            for file in (self.stack.state / name).iterdir():
                kept = files / str(of.state / name / file.name).lstrip("/")
                # Its owner stays.
                if kept.is_file():
                    file.write_bytes(kept.read_bytes())

    def start(self):
        self.stack.start()
        eventually(lambda: self.stack.request("GET", "/-/ready")[0] == 200)
        return self.stack


def answers(stack, blobs, keys):
    """What is answered to a GET of each."""
    targets = [f"/shacache/{digest}" for digest in blobs] + [f"/shadir/{key}" for key in keys]
    return {target: stack.request("GET", target)[::2] for target in targets}
