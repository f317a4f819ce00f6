"""The native client, run as a script runs it, on a machine with a slapos.cfg of its own."""

import json
import os
import subprocess
import textwrap
from pathlib import Path

from stack import REPOSITORY

SHACACHE = REPOSITORY / ".build/release/shacache"

# None of what the tests' own environment may hold.
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
CLEAN = {
    name: value for name, value in os.environ.items()
    if name.lower() not in PROXIES and name not in ("SHACACHE_CONFIG", "NO_COLOR", "TMPDIR")}

DONE, MISUSE, FAILED, MISSING, UNTRUSTED, UNREACHABLE = range(6)


class Node:
    """A machine that uses a cache; `options` are those of the section [networkcache], without which it has none."""

    def __init__(self, directory, options):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config = self.directory / "slapos.cfg"
        self.options = dict(options)
        self.write()

    @classmethod
    def of(cls, stack, directory, **changes):
        """As `make run` sets up its client; each `changes` is an option with underscores, None removes it."""
        node = cls(directory, options_of(stack))
        node.change(**changes)
        return node

    def change(self, **changes):
        """Writes the configuration again."""
        for name, value in changes.items():
            self.options[name.replace("_", "-")] = value
        self.options = {name: value for name, value in self.options.items() if value is not None}
        self.write()

    def write(self):
        lines = [f"{name} = {textwrap.indent(str(value), '  ').strip()}" for name, value in self.options.items()]
        self.config.write_text("[networkcache]\n" + "\n".join(lines) + "\n")

    def command(self, *words, config=True):
        """The words that run the client; the configuration is given right after the subcommand's name."""
        words = [str(word) for word in words]
        count = 2 if words[0] == "binary-cache" else 1
        return [str(SHACACHE), *words[:count], *(["--config", str(self.config)] if config else []), *words[count:]]

    def run(self, *words, config=True, env={}, **options):
        """Runs it to its end, for a minute at most; what it writes comes as bytes, unless told otherwise."""
        return subprocess.run(
            self.command(*words, config=config), env={**CLEAN, **env},
            **{"cwd": self.directory, "capture_output": True, "timeout": 60, **({} if "input" in options else {"stdin": subprocess.DEVNULL}), **options})

    def run_as(self, name, *words, env={}):
        """Runs it under one of its old names, with this configuration."""
        return subprocess.run(
            [name, "-c", str(self.config), *map(str, words)], executable=SHACACHE, cwd=self.directory,
            env={**CLEAN, **env}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def start(self, *words, env={}, **options):
        """Starts it."""
        return subprocess.Popen(
            self.command(*words), cwd=self.directory, env={**CLEAN, **env},
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})

    def json(self, *words, status=DONE, **options):
        """What it prints with --json."""
        done = self.run(*words, "--json", **options)
        assert done.returncode == status, done
        return json.loads(done.stdout)


def options_of(stack):
    env = stack.env
    options = {}
    for prefix in "", "binary-":
        options |= {
            f"download-{prefix}cache-url": env["SHACACHE_URL"], f"download-{prefix}dir-url": env["SHADIR_URL"],
            f"upload-{prefix}cache-url": env["UPLOAD_SHACACHE_URL"], f"upload-{prefix}dir-url": env["UPLOAD_SHADIR_URL"]}
    for where in "shacache", "shadir":
        for what, name in ("ca", "CA_FILE"), ("cert", "CLIENT_CERT"), ("key", "CLIENT_KEY"):
            options[f"{where}-{what}-file"] = env[name]
    return {
        **options, "signature-private-key-file": env["SIGN_KEY"], "signature-certificate-file": env["SIGN_CERT"],
        "signature-certificate-list": "\n" + Path(env["SIGN_CERT"]).read_text()}


def assert_ended(done, status, says=None):
    """With this exit code, and these words on standard error."""
    error = done.stderr.decode(errors="replace") if isinstance(done.stderr, bytes) else done.stderr
    assert done.returncode == status, done
    if says is not None:
        assert says in error, done
    return done
