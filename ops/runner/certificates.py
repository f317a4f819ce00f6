"""The certificate authority, and the server's certificate."""

import os
import ssl
import time
from pathlib import Path

from .commands import Admin, Users, finish, succeeds
from .settings import Failure
from .state import State, write_file

RENEW_BEFORE = 30 * 86_400  # seconds
SERVER_DAYS = "397"  # the most that browsers and curl on macOS accept

SERVER_EXTENSIONS = """\
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
"""


def make_authority(state: State, admin: Admin, users: Users) -> None:
    """Unless it is there; one of which half is missing is not replaced, since clients trust it."""
    certificate, key = state.ca / "ca.crt", state.ca / "ca.key"
    if belong_together(certificate, key):
        return
    if succeeds(users, ["openssl", "x509", "-in", certificate, "-noout"]):
        raise Failure(
            f"{key}: missing, or not the key of {certificate}",
            f"bring it back; or remove {state.ca}, and every client needs a new certificate",
        )
    # What a killed start left has signed nothing yet.
    for path in (certificate, key):
        path.unlink(missing_ok=True)
    admin.do("ca", "create", "--name", "ShaCache make run")


def publish_authority(state: State) -> None:
    """For clients, which trust the server by it; and for nginx, beside others that an operator put there."""
    ours = (state.ca / "ca.crt").read_text()
    write_file(state.client / "ca.crt", ours)
    trusted = state.tls / "clients-ca.crt"
    others = trusted.read_text() if trusted.exists() else ""
    if ours not in others:
        write_file(trusted, ours + others)


def make_server_certificate(state: State, users: Users) -> None:
    """Unless a good one is there."""
    authority, certificate, key = state.ca / "ca.crt", state.tls / "server.crt", state.tls / "server.key"
    if belong_together(certificate, key) and is_good(users, certificate, authority):
        return
    new_certificate, new_key, request, extensions = (state.tls / f"new.{kind}" for kind in ("crt", "key", "csr", "ext"))
    write_file(extensions, SERVER_EXTENSIONS)
    wanted = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"]
    finish(users, users.me, ["openssl", "req", "-new", *wanted, "-keyout", new_key, "-out", request])
    signer = ["-CA", authority, "-CAkey", state.ca / "ca.key", "-days", SERVER_DAYS, "-extfile", extensions]
    finish(users, users.me, ["openssl", "x509", "-req", *signer, "-in", request, "-out", new_certificate])
    os.chown(new_key, users.web.uid, users.web.gid)
    put_in_place((new_key, key), (new_certificate, certificate))
    for path in (request, extensions):
        path.unlink()


def belong_together(certificate: Path, key: Path) -> bool:
    """Whether the key is the certificate's."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError:  # missing, damaged, or the one of a pair that a killed start had exchanged
        return False
    return True


def is_good(users: Users, certificate: Path, authority: Path) -> bool:
    """Whether `authority` made it, and it lasts for a while."""
    then = str(int(time.time()) + RENEW_BEFORE)
    return succeeds(users, ["openssl", "verify", "-attime", then, "-CAfile", authority, certificate])


def put_in_place(*moves: tuple[Path, Path]) -> None:
    """Between two renames the pair doesn't belong together, and the next start makes it anew."""
    for beside, final in moves:
        beside.rename(final)
