"""A real Prometheus that looks at a cache, with the alerts that we ship."""

import json
import re
import subprocess
import urllib.request

from stack import REPOSITORY, eventually, free_port

ALERTS = REPOSITORY / "ops/alerts.yml"

CONFIGURATION = """\
global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
rule_files: [{directory}/alerts.yml]
scrape_configs:
  - job_name: shacache
    static_configs:
      - targets: ["localhost:{port}"]
"""


class Prometheus:
    """Until the block ends. Its alerts wait for two seconds where ours wait for minutes."""

    def __init__(self, stack, directory):
        self._directory = directory
        directory.mkdir()
        (directory / "alerts.yml").write_text(re.sub(r"for: \d+[mh]", "for: 2s", ALERTS.read_text()))
        configuration = CONFIGURATION.format(directory=directory, port=stack.settings["HTTP_PORT"])
        (directory / "prometheus.yml").write_text(configuration)
        self._address = f"127.0.0.1:{free_port()}"

    def __enter__(self):
        with open(self._directory / "log", "wb") as log:
            self._process = subprocess.Popen(
                ["prometheus", f"--config.file={self._directory}/prometheus.yml",
                 f"--storage.tsdb.path={self._directory}/data", f"--web.listen-address={self._address}"],
                stdout=log, stderr=log)
        try:
            eventually(self._is_ready)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()

    def _is_ready(self):
        assert self._process.poll() is None, (self._directory / "log").read_text()
        try:
            return urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=5).status == 200
        except OSError:
            return False

    def _ask(self, path):
        with urllib.request.urlopen(f"http://{self._address}/api/v1/{path}", timeout=5) as answer:
            return json.load(answer)["data"]

    def firing(self):
        """The names of the alerts that do."""
        return {alert["labels"]["alertname"] for alert in self._ask("alerts")["alerts"] if alert["state"] == "firing"}

    def is_scraping(self):
        return {target["health"] for target in self._ask("targets")["activeTargets"]} == {"up"}
