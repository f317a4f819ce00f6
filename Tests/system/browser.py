"""Debian's Chromium without a screen, and a way to let it show a client certificate."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from selenium import webdriver
from selenium.webdriver.chrome.service import Service


class Browser(webdriver.Chrome):
    def __init__(self):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        # Its sandbox refuses root, and a container has little shared memory.
        for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        super().__init__(options=options, service=Service("/usr/bin/chromedriver"))
        # Before any script of a page's: whoever gets one to run is seen.
        self.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": """
            window.alerts = []; window.alert = text => window.alerts.push(text);
            window.violations = [];
            document.addEventListener("securitypolicyviolation", e => window.violations.push(e.violatedDirective));
        """})

    def narrow(self, width, height=800):
        self.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})

    def prefer(self, scheme):
        self.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})


@contextmanager
def shown(stack, context):
    """The base URL of a server on this machine that asks the cache over HTTPS with a client certificate. So Chromium
    needs none of its own, for which it would take policies of the whole system."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = stack.request("GET", self.path, context=context)
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
