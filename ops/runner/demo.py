"""The account `demo` with all that a client of it needs, under STATE/client."""

import hashlib
import shutil
import textwrap
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path

from .certificates import belong_together, is_good, put_in_place
from .commands import Admin, Users, finish
from .settings import Settings
from .state import State, write_file

ACCOUNT = "demo"


@dataclass(frozen=True)
class Client:
    """The files of a client, and the URLs it talks to."""

    authority: Path
    certificate: Path
    key: Path
    signature_certificate: Path
    signature_key: Path
    configuration: Path
    download_shacache: str
    download_shadir: str
    upload_shacache: str
    upload_shadir: str

    @classmethod
    def of(cls, settings: Settings, state: State) -> "Client":
        plain, secure = f"http://localhost:{settings.http_port}", f"https://localhost:{settings.https_port}"
        return cls(
            authority=state.client / "ca.crt",
            certificate=state.client / f"{ACCOUNT}.crt",
            key=state.client / f"{ACCOUNT}.key",
            signature_certificate=state.client / "signature.crt",
            signature_key=state.client / "signature.key",
            configuration=state.client / "networkcache.cfg",
            download_shacache=f"{plain}/shacache",
            download_shadir=f"{plain}/shadir",
            upload_shacache=f"{secure}/shacache",
            upload_shadir=f"{secure}/shadir",
        )


def make_accounts(settings: Settings, admin: Admin) -> None:
    """Of those that are missing; with ANONYMOUS=1 also `local`."""
    there = {account["name"] for account in admin.list("account")}
    wanted = [ACCOUNT, "local"] if settings.anonymous else [ACCOUNT]
    for name in wanted:
        if name not in there:
            admin.do("account", "add", name, "--comment", "made by make run")


def may_upload(admin: Admin) -> bool:
    """Whether the account is enabled."""
    return any(account["name"] == ACCOUNT and account["state"] == "enabled" for account in admin.list("account"))


def make_client_certificate(client: Client, admin: Admin, users: Users) -> None:
    """Unless a good one is there."""
    valid = {item["fingerprint"] for item in admin.list("certificate") if item["state"] == "valid"}
    if (
        belong_together(client.certificate, client.key)
        and _sha256(client.certificate.read_text()) in valid
        and is_good(users, client.certificate, client.authority)
    ):
        return
    beside = client.certificate.parent / "new"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    admin.do("certificate", "issue", ACCOUNT, "--out", beside)
    put_in_place((beside / client.key.name, client.key), (beside / client.certificate.name, client.certificate))
    beside.rmdir()


def make_signing_pair(client: Client, admin: Admin, users: Users) -> None:
    """Unless one is there that the server trusts."""
    signers = admin.list("signer")
    trusted = {signer["key_sha256"] for signer in signers if signer["state"] == "trusted"}
    if (
        belong_together(client.signature_certificate, client.signature_key)
        and _key_sha256(client.signature_certificate, users) in trusted
    ):
        return
    key, certificate = (client.configuration.with_name(name) for name in ("new.key", "new.crt"))
    pair = ["-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
    finish(users, users.me, ["openssl", "req", "-x509", *pair, "-days", "36500", "-subj", f"/CN={ACCOUNT}"])
    taken = any(signer["name"] == ACCOUNT for signer in signers)
    name = f"{ACCOUNT}-{_key_sha256(certificate, users)[:8]}" if taken else ACCOUNT
    # Registered first: the pair that is in place is one that the server knows.
    admin.do("signer", "add", name, certificate)
    put_in_place((key, client.signature_key), (certificate, client.signature_certificate))


def _sha256(pem: str) -> str:
    """Of the DER form."""
    return hashlib.sha256(b64decode("".join(pem.strip().splitlines()[1:-1]))).hexdigest()


def _key_sha256(certificate: Path, users: Users) -> str:
    return _sha256(finish(users, users.me, ["openssl", "x509", "-in", certificate, "-pubkey", "-noout"]))


def write_client_configuration(client: Client) -> None:
    """networkcache.cfg."""
    # Continuation lines are indented: the client reads this file with Python's configparser.
    trusted = textwrap.indent(client.signature_certificate.read_text(), "    ")
    write_file(
        client.configuration,
        f"""\
# For shacache, networkcache-upload and networkcache-download; the [networkcache] section of a slapos.cfg looks the same.
[networkcache]
download-cache-url = {client.download_shacache}
download-dir-url = {client.download_shadir}
upload-cache-url = {client.upload_shacache}
upload-dir-url = {client.upload_shadir}
download-binary-cache-url = {client.download_shacache}
download-binary-dir-url = {client.download_shadir}
upload-binary-cache-url = {client.upload_shacache}
upload-binary-dir-url = {client.upload_shadir}
shacache-ca-file = {client.authority}
shacache-cert-file = {client.certificate}
shacache-key-file = {client.key}
shadir-ca-file = {client.authority}
shadir-cert-file = {client.certificate}
shadir-key-file = {client.key}
signature-private-key-file = {client.signature_key}
signature-certificate-file = {client.signature_certificate}
signature-certificate-list =
{trusted}""",
    )
