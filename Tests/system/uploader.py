"""An account of a test's own, and what it sends over TLS."""

import json
import os
from urllib.parse import quote

from wire import Wire

LARGE = 1_200_000  # bytes, from a million on a worker is asked before the body comes


class Uploader:
    """`settings` are those of `shacache-admin account add`."""

    def __init__(self, stack, directory, *settings):
        self.stack = stack
        self.name = f"u{os.urandom(4).hex()}"
        stack.admin("account", "add", self.name, *settings)
        stack.admin("certificate", "issue", self.name, "--out", directory)
        self.certificate, self.key = (directory / f"{self.name}.{suffix}" for suffix in ("crt", "key"))
        self._tls = stack.tls(self.certificate, self.key)

    def set(self, *settings):
        self.stack.admin("account", "set", self.name, *settings)

    def shown(self):
        return json.loads(self.stack.admin("account", "show", self.name, "--json").stdout)["account"][0]

    def recount(self):
        return self.stack.admin("account", "recount", self.name, check=False).returncode

    def wire(self):
        return Wire(self.stack, self._tls)

    def ask(self, *request, **options):
        with self.wire() as wire:
            return wire.request(*request, **options)

    def post(self, data, **options):
        return self.ask("POST", "/shacache", data, **options)

    def put(self, key, **metadata):
        pair = [json.dumps({"sha512": "0" * 128, **metadata}), ""]
        return self.ask("PUT", f"/shadir/{key}", json.dumps(pair).encode())

    def withdraw(self, target, reason="a mistake", **options):
        return self.ask("DELETE", f"{target}{'&' if '?' in target else '?'}reason={quote(reason)}", **options)
