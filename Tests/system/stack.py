"""Starting and ending `ops/run`, and what tests ask of it."""

import hashlib
import http.client
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import time
from itertools import islice
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


# Below what the kernel gives to connections, and apart from those of the tests' other processes (ops/test-system): nothing
# takes a port between this and the server that is told to listen there.
PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = range(10_000 + PROCESS, 32_000, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(number):
    """Different ones."""
    return list(islice(filter(is_free, random.sample(PORTS, len(PORTS))), number))


def free_port():
    return free_ports(1)[0]


def eventually(condition, seconds=20):
    """Asks until the answer is true, and returns it."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.02)
    return answer


def let_others_in(directory):
    """Lets every user reach a directory of the tests' own."""
    for parent in directory.parents:
        if parent.stat().st_uid == os.getuid() and any(part.startswith("pytest-") for part in parent.parts):
            parent.chmod(0o755)
    directory.chmod(0o755)


class Stack:
    """One network cache under a directory of its own. `settings` are those of `make run`."""

    empty_cluster = None  # of PostgreSQL, to begin with: initdb is a third of what a first start costs

    def __init__(self, directory, **settings):
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.state = directory / "var"
        plain, tls = free_ports(2)
        self.settings = {"HTTP_PORT": str(plain), "HTTPS_PORT": str(tls), **settings}
        self.output = directory / "output"
        self.prefix = []  # words before ops/run: another user to run it as, say
        self.runner = None

    def __enter__(self):
        # Other users than root's serve from below it.
        let_others_in(self.state.parent)
        if self.empty_cluster and not self.prefix and not self.state.exists():
            self.state.mkdir()
            subprocess.run(["cp", "-a", self.empty_cluster, self.state / "pgdata"], check=True)
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def launch(self):
        """Starts it."""
        with open(self.output, "ab") as output:
            self.runner = subprocess.Popen(
                [*self.prefix, REPOSITORY / "ops/run"],
                env={**os.environ, "STATE": str(self.state), **self.settings},
                cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)

    def start(self, timeout=60):
        """Starts it, and waits until it says that it is ready."""
        (self.state / "env").unlink(missing_ok=True)  # of a run that was killed
        self.launch()
        deadline = time.monotonic() + timeout
        while not (self.state / "env").exists():
            if self.runner.poll() is not None:
                raise AssertionError(f"ops/run ended with {self.runner.returncode}:\n{self.output.read_text()}")
            assert time.monotonic() < deadline, f"not ready in {timeout} s:\n{self.output.read_text()}"
            time.sleep(0.05)

    def stop(self, timeout=60):
        """Ends it in order; returns the exit code."""
        if self.runner.poll() is None:
            self.runner.send_signal(signal.SIGTERM)
            try:
                self.runner.wait(timeout)
            except subprocess.TimeoutExpired:
                self.runner.send_signal(signal.SIGTERM)
                self.runner.wait(timeout)
        return self.runner.returncode

    @property
    def env(self):
        lines = (self.state / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def store(self):
        return self.state / "store"

    @property
    def spool(self):
        """Of this host."""
        return self.store / "incoming" / os.uname().nodename

    def blob_file(self, digest):
        return self.store / "blobs" / digest[:2] / digest

    def pid(self, name):
        """Of `nginx` or `worker-1`."""
        return int((self.state / "run" / f"{name}.pid").read_text())

    def admin(self, *words, check=True):
        """Runs shacache-admin on this cache."""
        return subprocess.run(
            [REPOSITORY / ".build/release/shacache-admin", *words, "--config", self.state / "shacache.toml"],
            capture_output=True, text=True, check=check)

    def tls(self, certificate=None, key=None, **options):
        """A TLS context that trusts the server, with the demo account's certificate unless told otherwise; with
        `certificate=False` none."""
        context = ssl.create_default_context(cafile=self.env["CA_FILE"])
        if certificate is not False:
            context.load_cert_chain(certificate or self.env["CLIENT_CERT"], key or self.env["CLIENT_KEY"])
        for name, value in options.items():
            setattr(context, name, value)
        return context

    def connect(self, context=None, timeout=60):
        """An open connection: over TLS with a context, else over plain HTTP."""
        if context:
            return http.client.HTTPSConnection(
                "localhost", int(self.settings["HTTPS_PORT"]), context=context, timeout=timeout)
        return http.client.HTTPConnection("localhost", int(self.settings["HTTP_PORT"]), timeout=timeout)

    def request(self, method, target, body=None, headers=None, context=None, timeout=60):
        """One request on a connection of its own; returns (status, headers, body)."""
        connection = self.connect(context, timeout)
        try:
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def upload(self, data):
        """Stores a blob as the account demo, and returns its name."""
        status, _, answer = self.request("POST", "/shacache", data, context=self.tls())
        assert (status, answer) == (201, hashlib.sha512(data).hexdigest().encode()), (status, answer)
        return answer.decode()

    def wait_for_access_log(self):
        """Until it has all that was answered: nginx writes it once a second (site.conf.in), each process by itself."""
        time.sleep(1.2)

    def ingest_log(self, *words, **how):
        self.wait_for_access_log()
        return self.admin("ingest-log", self.state / "log/access.log", *words, **how)

    def index(self, key, metadata, signature=""):
        """Puts an entry under a key, which stands in the path as it is; as the account demo."""
        status, _, answer = self.request(
            "PUT", f"/shadir/{key}", json.dumps([metadata, signature]), context=self.tls())
        assert (status, answer) == (201, b""), (status, answer)

    def entries(self, key):
        """The pairs under a key; None when nothing was ever listed there."""
        status, _, answer = self.request("GET", f"/shadir/{key}")
        assert status in (200, 404), (status, answer)
        return json.loads(answer) if status == 200 else None

    def reload_nginx(self):
        """Returns when nobody is served by the old configuration any more."""
        master = self.pid("nginx")
        children = Path(f"/proc/{master}/task/{master}/children")
        old = set(children.read_text().split())
        os.kill(master, signal.SIGHUP)
        eventually(lambda: (new := set(children.read_text().split())) and not new & old)

    def configure(self, more):
        """Adds to what `make run` configures, in place of what was added before, and starts the workers again."""
        file = self.state / "shacache.toml"
        made = file.read_text().split("# added by a test\n")[0]
        file.write_text(f"{made}# added by a test\n{more}")
        files = list((self.state / "run").glob("worker-*.pid"))
        before = [file.read_text() for file in files]
        for pid in before:
            os.kill(int(pid), signal.SIGTERM)
        eventually(lambda: all(file.read_text() not in ("", old) for file, old in zip(files, before)))
        eventually(lambda: self.request("GET", "/-/ready")[0] == 200)


class DatabaseError(Exception):
    def __init__(self, message):
        super().__init__(message)
        self.message = message


class Database:
    """psql on a cache's database."""

    def __init__(self, stack):
        self._stack = stack

    def run(self, sql, role="shacache_owner"):
        """Rows as tuples of text; NULL is an empty text."""
        done = subprocess.run(
            ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-A", "-t", "-F", "\x1f", "-R", "\x1e", "-d",
             self._stack.env["DATABASE_URL"].replace("shacache_owner", role)],
            input=sql, capture_output=True, text=True)
        if done.returncode != 0:
            raise DatabaseError(done.stderr)
        output = done.stdout.rstrip("\n")
        return [tuple(row.split("\x1f")) for row in output.split("\x1e")] if output else []
