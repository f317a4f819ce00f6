"""What tests of shacache-admin ask of it."""

import json
import os
import re
import subprocess

from stack import REPOSITORY

ADMIN = REPOSITORY / ".build/release/shacache-admin"


def run(*words, **environment):
    return subprocess.run([ADMIN, *words], capture_output=True, text=True, env={**os.environ, **environment})


def name():
    """Of an account or a signer that nobody has made before."""
    return f"n{os.urandom(4).hex()}"


def listed(stack, *words):
    return json.loads(stack.admin(*words, "--json").stdout)


def assert_refused(done, *words, code=1):
    """Nothing on stdout, the reason on stderr: one line when it was not wrong usage."""
    assert (done.returncode, done.stdout) == (code, ""), done
    if code == 1:
        assert re.fullmatch(r"shacache-admin: [^\n]+\n", done.stderr), done
    for word in words:
        assert str(word) in done.stderr, done
