"""One upload, look-up and download along the way that clients take."""

import hashlib
import http.client
import json
import ssl
import tempfile
import time
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .commands import Users, finish
from .demo import Client
from .settings import Failure, Settings
from .supervisor import Supervisor

# The same at every start: they add one blob and one entry to a STATE, not one each time.
CONTENT = b"This is the round trip of `make run`.\n"
KEY = "make-run:round-trip"
READY_TIMEOUT = 60.0


def wait_until_ready(settings: Settings, supervisor: Supervisor) -> None:
    """Asks until /-/ready is 200."""
    url = f"http://localhost:{settings.http_port}/-/ready"
    begun = time.monotonic()
    while True:
        try:
            # Short: while no worker runs, the request would wait in the socket's queue, and we with it.
            status, body = _request("GET", url, seconds=1)
            answer = f"{status} {body.decode(errors='replace').strip()}"
            if status == 200:
                return
        except OSError as error:
            answer = str(error)
        if time.monotonic() - begun > READY_TIMEOUT:
            raise Failure(f"{url}: not ready after {READY_TIMEOUT:.0f} s: {answer}", "see the files under STATE/log")
        supervisor.wait(0.05)


def round_trip(client: Client, users: Users, directory: Path) -> list[str]:
    """What was done, a line for each step. `directory` takes openssl's files."""
    credentials = ssl.create_default_context(cafile=str(client.authority))
    credentials.load_cert_chain(client.certificate, client.key)
    sha512 = hashlib.sha512(CONTENT).hexdigest()
    entry = f"{client.download_shadir}/{KEY}"
    with tempfile.TemporaryDirectory(dir=directory) as own:
        signer = Signer(client, users, Path(own))
        metadata = json.dumps({"sha512": sha512, "file": "round-trip"})
        pair = [metadata, b64encode(signer.sign(metadata)).decode()]

        answer = _expect(201, "POST", client.upload_shacache, CONTENT, credentials)
        _require(answer == sha512.encode(), f"{client.upload_shacache}: answered {answer!r}, not the SHA-512")
        _expect(201, "PUT", f"{client.upload_shadir}/{KEY}", json.dumps(pair).encode(), credentials)

        entries = json.loads(_expect(200, "GET", entry))
        _require(pair in entries, f"{entry}: the entry isn't in the answer")
        found, signature = entries[entries.index(pair)]
        signer.verify(found, b64decode(signature))
        blob = f"{client.download_shacache}/{json.loads(found)['sha512']}"
        _require(_expect(200, "GET", blob) == CONTENT, f"{blob}: not the bytes that were uploaded")
    return [
        f"signed an entry with {client.signature_key}",
        f"uploaded {len(CONTENT)} bytes and the entry {KEY} over TLS with {client.certificate}",
        "looked the key up over plain HTTP, and the signature verifies",
        f"downloaded {sha512[:16]}… over plain HTTP, and compared: the same bytes",
    ]


@dataclass(frozen=True)
class Signer:
    """As the deployed clients sign and verify: RSA over SHA-1, through the openssl command."""

    client: Client
    users: Users
    directory: Path

    def sign(self, metadata: str) -> bytes:
        made = self.directory / "made"
        self._openssl("dgst", "-sha1", "-sign", self.client.signature_key, "-out", made, text=metadata)
        return made.read_bytes()

    def verify(self, metadata: str, signature: bytes) -> None:
        key, found = self.directory / "key", self.directory / "found"
        key.write_text(self._openssl("x509", "-pubkey", "-noout", "-in", self.client.signature_certificate))
        found.write_bytes(signature)
        self._openssl("dgst", "-sha1", "-verify", key, "-signature", found, text=metadata)

    def _openssl(self, *words: str | Path, text: str = "") -> str:
        return finish(self.users, self.users.me, ["openssl", *words], text=text)


def _expect(wanted: int, method: str, url: str, body: bytes | None = None, tls: ssl.SSLContext | None = None) -> bytes:
    status, answer = _request(method, url, body, tls)
    _require(status == wanted, f"{method} {url}: {status}: {answer.decode(errors='replace').strip()}")
    return answer


def _request(
    method: str, url: str, body: bytes | None = None, tls: ssl.SSLContext | None = None, seconds: float = 30
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    if tls:
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=seconds, context=tls)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=seconds)
    try:
        connection.request(method, parts.path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Failure(f"round trip: {otherwise}")
