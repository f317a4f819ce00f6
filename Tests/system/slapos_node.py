"""A node of SlapOS: the real `slapos node software`, with a slapproxy as its master, buildout, and a cache of ours."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

from node import CLEAN, SHACACHE, Node, options_of
from slapgrid import key_of
from slapproxy import COMPUTER, Slapproxy, venv_of_slapgrid
from stack import let_others_in

# slapgrid gives up root before it builds, and refuses to build as root. It keeps what it is else.
BUILDER = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())


def install_slapos(directory):
    """Puts the packages where builders can read them, which a checkout in somebody's home isn't; returns `slapos`."""
    venv = directory / "venv"
    shutil.copytree(venv_of_slapgrid(), venv, symlinks=True)
    # Scripts begin with the path of the Python that they were installed with.
    slapos = venv / "bin/slapos"
    slapos.write_text(f"#!{venv}/bin/python3\nimport sys\nfrom slapos.cli.entry import main\nsys.exit(main())\n")
    return slapos


class Master(Slapproxy):
    """It forgets at once what nodes report, but for the lines of its log."""

    def __init__(self, directory, slapos):
        super().__init__(directory, [slapos])
        self.slapos = slapos

    def supply(self, url):
        """Asks the computer to have this software release."""
        subprocess.run(
            [self.slapos, "supply", url, COMPUTER, "--cfg", self.config], env=CLEAN, check=True, timeout=60,
            capture_output=True)

    def told(self):
        """What it has been told so far: building, available or error, each as often as it was."""
        names = {"buildingSoftwareRelease": "building", "availableSoftwareRelease": "available", "softwareReleaseError": "error"}
        return [
            said for line in self.log.read_text(errors="replace").splitlines()
            for name, said in names.items() if f"POST /{name} " in line]


class SlaposNode(Node):
    """One machine that slapgrid runs; all are the same computer to the master, each with a software root of its own."""

    def __init__(self, directory, stack, master, **changes):
        directory.mkdir()
        let_others_in(directory)
        self.master = master
        self.root = directory / "slapgrid"
        self.slapos_options = {"computer_id": COMPUTER, "master_url": master.url, "software_root": self.root,
                               "instance_root": directory / "instance"}
        self.environment = {}
        super().__init__(directory, options_of(stack))
        self.change(**changes)
        for made in self.root, directory / "instance":
            made.mkdir()
        os.chown(self.root, BUILDER.pw_uid, BUILDER.pw_gid)

    def write(self):
        super().write()
        lines = [f"{name} = {value}" for name, value in self.slapos_options.items()]
        with open(self.config, "a") as file:
            file.write("[slapos]\n" + "\n".join(lines) + "\n")

    def release(self, url):
        return self.root / key_of(url)

    def start_slapgrid(self, url):
        """Starts one run, for this release alone."""
        self.log = self.directory / "slapgrid.log"
        with open(self.log, "wb") as log:
            return subprocess.Popen(
                [self.master.slapos, "node", "software", "--cfg", self.config, "--pidfile", self.directory / "slapgrid.pid",
                 "--only-sr", key_of(url)],
                env={**CLEAN, **self.environment}, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)

    def slapgrid(self, url, seconds=60):
        """Runs it to its end; returns whether it was content, what it said, and what it told the master."""
        before = len(self.master.told())
        with self.start_slapgrid(url) as process:
            try:
                process.wait(seconds)
            finally:
                end(process)
        return process.returncode == 0, self.log.read_text(errors="replace"), self.master.told()[before:]

    def sleeps_after_upload(self, url, seconds=60):
        """Whether it goes to sleep once its upload has failed, which it does for half an hour; and what it said."""
        with self.start_slapgrid(url) as process:
            try:
                deadline = time.monotonic() + seconds
                while process.poll() is None:
                    said = self.log.read_text(errors="replace")
                    if "Trying to upload" in said and is_asleep(process.pid):
                        return True, said
                    assert time.monotonic() < deadline, said
                    time.sleep(0.05)
                return False, self.log.read_text(errors="replace")
            finally:
                end(process)


def end(process):
    """With the buildout that it may have started, which is of its session."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def is_asleep(pid):
    """In time.sleep, and not just for a moment: what slapgrid waits for else, it waits for in select or wait."""
    for _ in range(10):
        if Path(f"/proc/{pid}/wchan").read_text() not in ("hrtimer_nanosleep", "common_nsleep", "do_nanosleep"):
            return False
        time.sleep(0.03)
    return True


def client_for_builders(directory):
    """shacache, where those who build can run it."""
    return shutil.copy(SHACACHE, directory / "shacache")
