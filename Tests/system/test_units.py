"""The commands of the timers' units, with the capabilities that these leave to root: few."""

import json
import os
import re
import subprocess

import pytest
from stack import REPOSITORY, Stack
from test_collect import AT_ONCE, age

UNIT = re.compile(r"^CapabilityBoundingSet=(.*)$", re.MULTILINE)
COMMAND = re.compile(r"^ExecStart=/usr/local/bin/shacache-admin (.*)$", re.MULTILINE)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def commands():
    for unit in sorted((REPOSITORY / "ops/systemd").glob("*.service")):
        text = unit.read_text()
        for words in COMMAND.findall(text):
            # What isn't the unit's own: where backups go, which upstream and which log this cache has.
            if not re.search("[$%]|/var/log", words):
                yield pytest.param(words.split(), UNIT.search(text)[1].split(), id=f"{unit.stem}: {words}")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("units"), ANONYMOUS="1") as stack:
        stack.configure(AT_ONCE)
        yield stack


def as_unit(capabilities):
    names = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in capabilities)])
    return ["setpriv", "--bounding-set", names, "--inh-caps", "-all", "--no-new-privs", "--"]


@pytest.mark.parametrize("words, capabilities", commands())
def test_a_unit_may_do_what_its_command_does(stack, words, capabilities):
    # Fails for `collect apply` and `journal` where LocalBlobs.give changes the owner before the mode.
    # What the database has, and the journal has not; and something to collect.
    digest = stack.upload(os.urandom(100))
    stack.index("old-unit", json.dumps({"sha512": digest, "number": os.urandom(8).hex()}))
    stack.index("stays", json.dumps({"sha512": stack.upload(b"stays"), "number": os.urandom(8).hex()}))
    for file in (stack.store / "journal").iterdir():
        file.unlink()
    age(stack)
    admin = REPOSITORY / ".build/release/shacache-admin"
    done = subprocess.run(
        [*as_unit(capabilities), admin, *words, "--config", stack.state / "shacache.toml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    owner = (stack.store / "blobs").stat()
    files = [file for name in ("blobs", "withdrawn", "trash", "journal") for file in (stack.store / name).rglob("*")]
    assert {(file.stat().st_uid, file.stat().st_gid) for file in files} == {(owner.st_uid, owner.st_gid)}
