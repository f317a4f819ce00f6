"""nginx alone: static files, and PUT by its DAV module."""

import subprocess
from pathlib import Path

from stack import free_port

CONFIGURATION = """
daemon off; worker_processes auto; pid {directory}/pid; error_log {directory}/error.log;

events {{ worker_connections 4096; }}
http {{
    sendfile on; tcp_nopush on; access_log {directory}/access.log; client_body_temp_path {directory}/body;
    server {{ listen 127.0.0.1:{port}; root {directory}/root; dav_methods PUT; client_max_body_size 0; }}
}}
"""


class Baseline:
    def __init__(self, directory):
        self.port = free_port()
        self.directory = Path(directory)
        (self.directory / "root").mkdir(parents=True)
        self.directory.chmod(0o755)
        (self.directory / "root").chmod(0o777)
        configuration = self.directory / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(directory=self.directory, port=self.port))
        self._command = ["/usr/sbin/nginx", "-e", self.directory / "error.log", "-c", configuration]

    def __enter__(self):
        self.process = subprocess.Popen(self._command)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    @property
    def pids(self):
        return [self.process.pid]

    def keep(self, name, body):
        (self.directory / "root" / name).write_bytes(body)
