"""An sshd of the tests' own, which lets one key use one directory by rsync, and nothing else."""

import getpass
import os
import subprocess
import time
from pathlib import Path

from stack import eventually, free_port


class Sshd:
    """`directory` is what the key is for, `/` for those who come; `command` is an ssh that knows the way."""

    def __init__(self, home, directory):
        home.mkdir()
        directory.mkdir(exist_ok=True)
        self._port = free_port()
        for name in "host", "key":
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / name], check=True)
        public = (home / "key.pub").read_text()
        (home / "authorized").write_text(f'restrict,command="rrsync {directory}" {public}')
        host = (home / "host.pub").read_text()
        (home / "known").write_text(f"[127.0.0.1]:{self._port} {host}")
        (home / "sshd_config").write_text(f"""\
ListenAddress 127.0.0.1:{self._port}
HostKey {home}/host
PidFile none
AuthorizedKeysFile {home}/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin forced-commands-only
""")
        (home / "config").write_text(f"""\
Host backup
    HostName 127.0.0.1
    Port {self._port}
    User {getpass.getuser()}
    IdentityFile {home}/key
    IdentitiesOnly yes
    UserKnownHostsFile {home}/known
    BatchMode yes
""")
        self.command = f"ssh -F {home}/config"
        self.words = ["--ssh", "backup:/", "--ssh-command", self.command]
        self._home = home

    def __enter__(self):
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with open(self._home / "log", "w") as log:
            self._process = subprocess.Popen(
                ["/usr/sbin/sshd", "-D", "-e", "-f", self._home / "sshd_config"], stdout=log, stderr=log)
        eventually(lambda: "listening" in (self._home / "log").read_text())
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
