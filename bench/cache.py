"""A whole network cache of any revision, as something to measure; and how an earlier revision is built."""

import hashlib
import json
import os
import shutil
import subprocess
from functools import cached_property
from pathlib import Path

import load
from stack import REPOSITORY, Stack

BUILT = REPOSITORY / ".build/before"


class Cache(Stack):
    """`tree` is a checkout: its ops/run, nginx files, SQL and programs are what runs."""

    def __init__(self, directory, tree=REPOSITORY, **settings):
        super().__init__(directory, ANONYMOUS="1", **settings)
        self.tree = tree

    def launch(self):
        with open(self.output, "ab") as output:
            self.runner = subprocess.Popen(
                [self.tree / "ops/run"],
                env={**os.environ, "STATE": str(self.state), **self.settings}, cwd=self.tree,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)

    @property
    def pids(self):
        return [self.runner.pid]

    @property
    def plain_port(self):
        return self.settings["HTTP_PORT"]

    @property
    def tls_port(self):
        return self.settings["HTTPS_PORT"]

    @cached_property
    def certificate(self):
        return self.env["CLIENT_CERT"], self.env["CLIENT_KEY"]

    def url(self, path):
        return f"http://127.0.0.1:{self.settings['HTTP_PORT']}{path}"

    def keep(self, body):
        """Stores a blob; returns its name."""
        status, _, answer = self.request("POST", "/shacache", body)
        assert status == 201, answer
        return answer.decode()

    @cached_property
    def listed(self):
        """The path of a key with one entry."""
        metadata = json.dumps({"sha512": self.keep(b"a listed one"), "url": "http://example.org/" + "x" * 300})
        status, _, answer = self.request("PUT", "/shadir/bench:listed", json.dumps([metadata, ""]))
        assert status == 201, answer
        return "/shadir/bench:listed"

    def signed_entries(self, count):
        """A file with bodies of signed entries, whose blobs are here."""
        file = self.state.parent / "entries"
        if not file.exists():
            blobs = [b"a blob %d" % number for number in range(min(count, 1000))]
            connection = self.connect()
            for blob in blobs:
                connection.request("POST", "/shacache", blob)
                assert connection.getresponse().read()
            connection.close()
            digests = [hashlib.sha512(blob).hexdigest() for blob in blobs]
            load.sign_entries(self.env["SIGN_KEY"], digests, count, file)
        return file

    def forget_uploads(self):
        forget(self.store.glob("blobs/*/*"))


def forget(files):
    """Memory is finite, and no later burst asks for what one has uploaded."""
    for file in files:
        if 1 << 14 < file.stat().st_size < 1 << 24:
            file.unlink()


def built(revision):
    """The checkout of a revision below .build, built as that revision is built; kept for the next time."""
    def git(*words, **options):
        return subprocess.run(["git", *words], cwd=REPOSITORY, check=True, **options)

    commit = git("rev-parse", "--verify", f"{revision}^{{commit}}", capture_output=True, text=True).stdout.strip()
    tree = BUILT / commit
    if not (tree / "built").exists():
        shutil.rmtree(tree, ignore_errors=True)
        (tree / ".build").mkdir(parents=True)
        archive = git("archive", commit, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
        # What was fetched for today's build needn't be fetched again.
        for name in ("artifacts", "checkouts", "repositories", "workspace-state.json"):
            if (REPOSITORY / ".build" / name).exists():
                subprocess.run(["cp", "-a", REPOSITORY / ".build" / name, tree / ".build"], check=True)
        if (resolved := REPOSITORY / "Package.resolved").exists():
            shutil.copy(resolved, tree)
        subprocess.run(["make", "build"], cwd=tree, check=True, stdout=subprocess.DEVNULL)
        (tree / "built").touch()
    return tree
