"""What a cache is measured beside: nginx alone, slapos.core's slapproxy, Debian's docker-registry."""

import hashlib
import http.client
import os
import signal
import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path

from cache import forget
from certificates import Authority, self_signed
from stack import REPOSITORY, free_ports


class Absent(Exception):
    """A peer that isn't installed, and why."""


class Peer:
    """A server with its processes. It shows and takes certificates as a cache does."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True)
        self.port, self.tls_port, self.inner_port = free_ports(3)
        self.processes = []

    def __enter__(self):
        self.server = self_signed(self.directory, "server", "EC")
        (self.directory / "ca").mkdir()
        self.authority = Authority.create(self.directory / "ca", "ca")
        self.certificate = self.authority.issue("client")
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(30)

    def launch(self, *words, **options):
        log = open(self.directory / "output", "ab")
        self.processes.append(subprocess.Popen(list(map(str, words)), stdout=log, stderr=log, **options))

    def wait_for(self, path, port):
        """Until a GET of it is answered, whatever with."""
        for _ in range(200):
            if any(process.poll() is not None for process in self.processes):
                break
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", path)
                connection.getresponse().read()
                return
            except OSError:
                time.sleep(0.1)
        raise Absent(f"didn't start: {(self.directory / 'output').read_text()[-300:]}")

    def request(self, method, path, body, headers={}):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        assert response.status in (200, 201, 202), (path, response.status, answer)
        return response, answer

    @property
    def pids(self):
        return [process.pid for process in self.processes]

    @property
    def plain_port(self):
        return self.port

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def forget_uploads(self):
        forget(file for file in self.directory.rglob("*") if file.is_file() and not file.is_symlink())


class Nginx(Peer):
    """Static files, PUT by the DAV module (which neither hashes nor syncs), and TLS before another server."""

    label = "nginx alone"
    definitions = ""
    proxied = "return 404;"

    def start(self):
        (self.directory / "root").mkdir()
        self.directory.chmod(0o755)
        (self.directory / "root").chmod(0o777)
        configuration = self.directory / "nginx.conf"
        certificate, key = self.server
        configuration.write_text(f"""
            daemon off; worker_processes auto; pid {self.directory}/pid; error_log {self.directory}/error.log;
            events {{ worker_connections 4096; }}
            http {{
                sendfile on; tcp_nopush on; access_log {self.directory}/access.log;
                client_body_temp_path {self.directory}/body; proxy_temp_path {self.directory}/proxy;
                fastcgi_temp_path {self.directory}/fastcgi; uwsgi_temp_path {self.directory}/uwsgi;
                scgi_temp_path {self.directory}/scgi;
                client_max_body_size 0; client_body_buffer_size 256k;
                {self.definitions}
                server {{
                    listen 127.0.0.1:{self.port}; listen 127.0.0.1:{self.tls_port} ssl;
                    ssl_certificate {certificate}; ssl_certificate_key {key};
                    ssl_client_certificate {self.authority.certificate}; ssl_verify_client optional;
                    root {self.directory}/root; dav_methods PUT;
                    location /shacache/ {{ {self.proxied} }}
                }}
            }}""")
        self.launch("/usr/sbin/nginx", "-e", self.directory / "error.log", "-c", configuration)
        self.wait_for("/", self.port)

    def keep(self, body):
        name = hashlib.sha512(body).hexdigest()
        (self.directory / "root" / name).write_bytes(body)
        return name


class CachingNginx(Nginx):
    """Before a cache that listens on `port`: what it lacks it gets there, one request at a time for one name."""

    label = "nginx's proxy_cache, with its lock"

    def __init__(self, directory, port):
        super().__init__(directory)
        self.definitions = f"""
            upstream far {{ server 127.0.0.1:{port}; keepalive 64; }}
            proxy_cache_path {self.directory}/cache keys_zone=far:64m max_size=100g;"""
        self.proxied = """
            proxy_pass http://far; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_cache far; proxy_cache_key $request_uri; proxy_cache_lock on;"""

    def forget_uploads(self):
        pass

    def forget_fetched(self):
        for file in (self.directory / "cache").iterdir():
            file.unlink()


class Slapproxy(Nginx):
    """Two processes of gunicorn; uploads come through nginx, for TLS, downloads straight."""

    label = "slapproxy"

    def start(self):
        venv = subprocess.run([REPOSITORY / "ops/test-venv", "bench"], capture_output=True, text=True)
        if venv.returncode != 0:
            raise Absent(venv.stderr.strip().splitlines()[-1])
        self.proxied = f"proxy_pass http://127.0.0.1:{self.inner_port};"
        content, metadata = self.directory / "content", self.directory / "metadata"
        content.mkdir(), metadata.mkdir()
        (self.directory / "proxied.py").write_text(f"""
from slapos.proxy.views import app
app.config.update(computer_id="bench", DATABASE_URI={str(self.directory / 'database')!r}, software_product_list={{}},
    multimaster={{}}, run_id="bench", SHACACHE_CONTENT_DIRECTORY={str(content)!r},
    SHACACHE_METADATA_DIRECTORY={str(metadata)!r})
""")
        python = Path(venv.stdout.strip()) / "bin/python"
        self.launch(python, "-m", "gunicorn", "--workers", 2, "--bind", f"127.0.0.1:{self.inner_port}", "proxied:app",
                    cwd=self.directory)
        super().start()
        self.wait_for("/shacache/dir/none", self.inner_port)

    def url(self, path):
        return f"http://127.0.0.1:{self.inner_port}{path}"

    @cached_property
    def listed(self):
        self.request("PUT", "/shacache/dir/bench:listed", '["{\\"url\\": \\"%s\\"}", ""]' % ("x" * 450),
                     {"Content-Type": "application/json"})
        return "/shacache/dir/bench:listed"


class Registry(Peer):
    """TLS by itself, and a second process for plain HTTP on the same files."""

    label = "docker-registry"

    def start(self):
        if not Path("/usr/bin/docker-registry").exists():
            raise Absent("docker-registry isn't installed: ops/install-packages bench")
        certificate, key = self.server
        tls = f"\n  tls:\n    certificate: {certificate}\n    key: {key}\n    clientcas: [{self.authority.certificate}]"
        for name, port, more in (("plain", self.port, ""), ("tls", self.tls_port, tls)):
            configuration = self.directory / f"{name}.yml"
            configuration.write_text(
                f"version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  cache:\n"
                f"    blobdescriptor: inmemory\n  filesystem:\n    rootdirectory: {self.directory}/files\n"
                f"http:\n  addr: 127.0.0.1:{port}{more}\n")
            self.launch("docker-registry", "serve", configuration, env={**os.environ, "OTEL_TRACES_EXPORTER": "none"})
            self.wait_for("/v2/", port)

    def keep(self, body):
        response, _ = self.request("POST", "/v2/bench/blobs/uploads/", b"")
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        place = response.getheader("Location").split(f":{self.port}", 1)[1]
        self.request("PUT", f"{place}&digest={digest}", body, {"Content-Type": "application/octet-stream"})
        return f"v2/bench/blobs/{digest}"


def say_absent(peer, reason):
    print(f"absent: {peer.label}: {reason}", file=sys.stderr, flush=True)
