"""A machine of its own to install packages on: a fresh Debian, started by its own systemd, in namespaces."""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from processes import children
from stack import eventually

# What a process needs to start with, and nothing of ours.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
CGROUPS = Path("/sys/fs/cgroup")
# The hierarchies that systemd needs, below CGROUPS: all of them in one, or its own beside those of the controllers.
HIERARCHIES = [""] if (CGROUPS / "cgroup.controllers").exists() else ["systemd", "unified"]

BOOT = r"""
set -eu
cd "$TREE"
mount --make-rprivate /
mount --bind . .
cd "$TREE"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
for place in run tmp dev sys/fs/cgroup; do mount -t tmpfs -o mode=755 tmpfs $place; done
chmod 1777 tmp
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
case $HIERARCHIES in
    "") mount -t cgroup2 cgroup2 sys/fs/cgroup ;;
    *)
        mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
        mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
        mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
        ;;
esac
exec chroot . env -i container=shacache PATH="$PATH" /lib/systemd/systemd --log-target=console
"""


def codename():
    """Of the release of Debian that runs here."""
    words = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return words["VERSION_CODENAME"].strip('"')


class Machine:
    """Its network is its own loopback; before its start, `prepare` has the one of here."""

    def __init__(self, directory):
        self.tree = directory / "tree"
        self._log = directory / "boot.log"
        self._cgroups = [CGROUPS / hierarchy / f"shacache-machine-{os.getpid()}" for hierarchy in HIERARCHIES]
        self._init = None
        self._boot = None

    def make(self):
        """A minimal Debian of the release that runs here, which starts no service that is installed."""
        subprocess.run(["debootstrap", "--variant=minbase", codename(), self.tree, "http://deb.debian.org/debian"],
                       check=True, capture_output=True)
        policy = self.tree / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        shutil.copy("/etc/resolv.conf", self.tree / "etc/resolv.conf")

    def prepare(self, *words):
        """Runs a command in it that needs the network of here."""
        subprocess.run(["chroot", self.tree, *words], env=ENVIRONMENT, check=True, capture_output=True, text=True)

    def start(self):
        """Boots it; services are started as they are installed from now on."""
        (self.tree / "usr/sbin/policy-rc.d").unlink()
        for cgroup in self._cgroups:
            cgroup.mkdir()
        entering = "; ".join(f"echo $$ >{cgroup}/cgroup.procs" for cgroup in self._cgroups)
        namespaces = "exec unshare --mount --pid --uts --ipc --net --cgroup --fork --kill-child=KILL sh -c \"$BOOT\""
        with open(self._log, "w") as log:
            self._boot = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", "--", "sh", "-c", f"{entering}; {namespaces}"], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
                env={**ENVIRONMENT, "TREE": str(self.tree), "BOOT": BOOT, "HIERARCHIES": " ".join(HIERARCHIES)})
        (self._init,) = eventually(lambda: children(self._boot.pid))
        eventually(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in {"running", "degraded"}, 60)

    def stop(self):
        if self._boot:
            self._boot.send_signal(signal.SIGKILL)
            self._boot.wait()
        for cgroup in self._cgroups:
            for directory, _, _ in os.walk(cgroup, topdown=False):
                with suppress(OSError):  # a process that is still ending
                    os.rmdir(directory)

    def words(self, *words):
        """What runs a command in it."""
        root = f"/proc/{self._init}/root"
        return ["nsenter", f"--target={self._init}", "--all", f"--root={root}", f"--wd={root}", "--", *words]

    def run(self, *words, check=True):
        done = subprocess.run(self.words(*words), env=ENVIRONMENT, capture_output=True, text=True)
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done

    def shell(self, script):
        return self.run("sh", "-euc", script)
