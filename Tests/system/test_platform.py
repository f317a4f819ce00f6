"""What a machine is: Python's `distro`, which slapgrid asks, on a table of real machines' files that Swift tests read too,
and `shacache` on a machine with such files."""

import json
import os
import subprocess
import sys

import distro
import pytest
from node import DONE, FAILED, MISSING, assert_ended
from slapgrid import key_of
from stack import REPOSITORY

MACHINES = json.loads((REPOSITORY / "Tests/ClientTests/platforms.json").read_text())


class Machine:
    """Its files in a directory; `environment` lets a process take them for this machine's."""

    def __init__(self, directory, name):
        self.directory = directory
        for place in "etc", "usr/lib", "bin":
            (directory / place).mkdir(parents=True)
        # Whatever is installed here.
        self.command("lsb_release", "exit 1")
        self.command("gcc", "echo x86_64-linux-gnu")
        for path, text in MACHINES[name].items():
            text = "".join(f"{line}\n" for line in text) if isinstance(text, list) else text
            if path == "lsb_release":
                self.command(path, f"cat <<'END'\n{text}END")
            elif path not in ("says", "ours"):
                (directory / path).write_bytes(text.encode())
        self.environment = {
            "UNIXCONFDIR": str(directory / "etc"), "UNIXUSRLIBDIR": str(directory / "usr/lib"),
            "PATH": f"{directory}/bin:{os.environ['PATH']}"}

    def command(self, name, script):
        path = self.directory / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


@pytest.mark.parametrize("name", MACHINES)
def test_distro_says_what_the_table_says(tmp_path, monkeypatch, name):
    machine = Machine(tmp_path / "machine", name)
    monkeypatch.setenv("PATH", machine.environment["PATH"])
    here = distro.LinuxDistribution(root_dir=str(machine.directory))
    here.include_lsb = True  # off, with another root
    assert [here.id(), here.version(), here.codename()] == MACHINES[name]["says"]


def new_release(root, url):
    directory = root / key_of(url)
    directory.mkdir(parents=True)
    (directory / "file").write_text("x")
    return directory


NAMES = ["debian-12", "debian-trixie-testing", "devuan-2", "gentoo-old", "manjaro-15.12", "rhel-6", "written: CR LF"]


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_says_what_slapgrid_says_on_that_machine(stack, node, tmp_path, name):
    machine, url = Machine(tmp_path / "machine", name), f"https://lab.example.org/{os.urandom(8).hex()}/software.cfg"
    new_release(tmp_path / "root", url)
    assert_ended(node.run(
        "binary-cache", "publish", tmp_path / "root" / key_of(url), "--software-url", url, env=machine.environment), DONE)
    ((metadata, _),) = stack.entries(key_of(url))
    script = "import json; from slapos.grid.networkcache import machine_info_tuple; print(json.dumps(machine_info_tuple()))"
    slapgrid = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **machine.environment}, capture_output=True, check=True)
    said = json.loads(metadata)
    assert [said["multiarch"], said["os"]] == json.loads(slapgrid.stdout)


@pytest.mark.parametrize("published, installed, status", [
    ("debian-trixie-testing", "debian-trixie-testing", DONE), ("debian-trixie-testing", "debian-forky-testing", MISSING),
    ("debian-trixie-testing", "debian-13", MISSING), ("debian-forky-testing", "debian-forky-testing-lsb", DONE),
    ("debian-trixie-testing", "debian-forky-testing-lsb", MISSING), ("debian-12", "raspbian-12", DONE)])
def test_what_was_compiled_on_one_debian_testing_is_installed_on_the_same_alone(
        node, tmp_path, published, installed, status):
    url = f"https://lab.example.org/{os.urandom(8).hex()}/software.cfg"
    directory = new_release(tmp_path / "root", url)
    builder, here = Machine(tmp_path / "builder", published), Machine(tmp_path / "here", installed)
    assert_ended(node.run(
        "binary-cache", "publish", directory, "--software-url", url, env=builder.environment), DONE)
    directory.rename(tmp_path / "before")
    assert_ended(node.run(
        "binary-cache", "install", "--software-url", url, "--software-root", tmp_path / "root", env=here.environment), status)


def test_an_os_release_that_slapgrid_cannot_read_is_2_and_named(node, tmp_path):
    machine = Machine(tmp_path / "machine", "debian-12")
    (machine.directory / "etc/os-release").write_text('ID="debian\n')
    done = node.run(
        "binary-cache", "install", "--software-url", "https://lab.example.org/x", "--software-root", tmp_path,
        env=machine.environment)
    assert_ended(done, FAILED, f"{machine.directory}/etc/os-release: the closing quotation mark is missing")
