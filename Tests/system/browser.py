"""Debian's Chromium without a screen, as somebody has it who brought his client certificate into it."""

import json
import os
import subprocess
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

# Chromium takes policies from one place of the whole system: here, it sees another one there.
WRAPPER = """\
#!/bin/sh
exec unshare --mount sh -c '
    mount -t tmpfs none /etc/chromium &&
    mkdir -p /etc/chromium/policies/managed &&
    cp "$0" /etc/chromium/policies/managed/ &&
    exec /usr/bin/chromium "$@"' '{policy}' "$@"
"""


class Browser(webdriver.Chrome):
    """`directory` becomes its user's home."""

    def __init__(self, directory, stack, certificate, key):
        home = Path(directory)
        self._trust(home / ".pki/nssdb", stack, certificate, key)
        options = webdriver.ChromeOptions()
        options.binary_location = str(self._program(home, stack))
        # Its sandbox refuses root, and a container has little shared memory.
        for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = Service("/usr/bin/chromedriver", env={**os.environ, "HOME": str(home)})
        super().__init__(options=options, service=service)
        # Before any script of a page's: whoever gets one to run is seen.
        self.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": """
            window.alerts = []; window.alert = text => window.alerts.push(text);
            window.violations = [];
            document.addEventListener("securitypolicyviolation", e => window.violations.push(e.violatedDirective));
        """})

    @staticmethod
    def _trust(database, stack, certificate, key):
        """Brings the server's authority in, and the certificate as the page says it."""
        def run(*words):
            subprocess.run([str(word) for word in words], check=True, capture_output=True)

        database.mkdir(parents=True)
        run("certutil", "-N", "-d", f"sql:{database}", "--empty-password")
        run("certutil", "-A", "-d", f"sql:{database}", "-n", "server", "-t", "C,,", "-i", stack.env["CA_FILE"])
        bundle = database / "bundle.p12"
        run("openssl", "pkcs12", "-export", "-in", certificate, "-inkey", key, "-out", bundle, "-passout", "pass:x")
        run("pk12util", "-d", f"sql:{database}", "-i", bundle, "-W", "x")

    @staticmethod
    def _program(home, stack):
        """One that shows the certificate without asking, as a person would choose it, to this server."""
        policy = home / "certificate.json"
        choice = {"pattern": f"https://localhost:{stack.settings['HTTPS_PORT']}", "filter": {}}
        policy.write_text(json.dumps({"AutoSelectCertificateForUrls": [json.dumps(choice)]}))
        program = home / "chromium"
        program.write_text(WRAPPER.format(policy=policy))
        program.chmod(0o755)
        return program

    def narrow(self, width, height=800):
        self.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})

    def prefer(self, scheme):
        self.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def keep(self, file):
        """Saves a picture of the whole page."""
        height = self.execute_script("return document.documentElement.scrollHeight")
        self.narrow(self.execute_script("return window.innerWidth"), height)
        file.write_bytes(self.get_screenshot_as_png())
