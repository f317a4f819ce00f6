"""Certificates of every kind, made with openssl: good ones, and those that must be refused."""

import hashlib
import ssl
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path


def openssl(*words, **options):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fingerprint(certificate):
    """The SHA-256 of its DER form, in hexadecimal."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(Path(certificate).read_text())).hexdigest()


def make_key(path, kind="EC"):
    """`kind` is EC, or RSA:1024 and the like."""
    algorithm, _, bits = kind.partition(":")
    option = f"rsa_keygen_bits:{bits}" if bits else "ec_paramgen_curve:prime256v1"
    openssl("genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-out", path)


def make_request(path, key, name):
    openssl("req", "-new", "-key", key, "-out", path, "-subj", f"/CN={name}")


def self_signed(directory, name, kind="RSA:2048", *options):
    """A certificate that vouches for itself, as those for signatures do, and its key."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    make_key(key, kind)
    openssl("req", "-x509", "-new", "-key", key, "-out", certificate, "-days", "30", "-subj", f"/CN={name}", *options)
    return certificate, key


class Authority:
    """Signs what it is told to, unlike shacache-admin."""

    def __init__(self, directory, certificate, key):
        self._directory = directory
        self.certificate = certificate
        self._key = key
        (directory / "index").touch()
        (directory / "config").write_text(f"""\
[ca]
default_ca = ca
[ca]
database = {directory}/index
serial = {directory}/serial
new_certs_dir = {directory}
policy = policy
default_md = sha256
unique_subject = no
[policy]
commonName = supplied
""")

    @classmethod
    def create(cls, directory, name):
        return cls(directory, *self_signed(directory, name, "EC"))

    def issue(self, name, kind="EC", valid_days=(-1, 30), usage="clientAuth", digest="sha256"):
        """A certificate and its key, valid from one day to another, counted from now."""
        certificate, key, request, extensions = (
            self._directory / f"{name}.{suffix}" for suffix in ("crt", "key", "csr", "ext"))
        make_key(key, kind)
        make_request(request, key, name)
        extensions.write_text(f"extendedKeyUsage = {usage}\n" if usage else "basicConstraints = CA:FALSE\n")
        self._sign(request, certificate, valid_days, "-cert", self.certificate, "-extfile", extensions, "-md", digest)
        return certificate, key

    def renew_itself(self, valid_days):
        """In place of its certificate."""
        request, extensions = self._directory / "itself.csr", self._directory / "itself.ext"
        make_request(request, self._key, "ours")
        extensions.write_text("basicConstraints = CA:TRUE\n")
        self._sign(request, self.certificate, valid_days, "-selfsign", "-extfile", extensions)

    def _sign(self, request, certificate, valid_days, *options):
        start, end = (
            (datetime.now(timezone.utc) + timedelta(days=days)).strftime("%Y%m%d%H%M%SZ") for days in valid_days)
        openssl(
            "ca", "-batch", "-config", self._directory / "config", "-keyfile", self._key, "-in", request,
            "-out", certificate, "-notext", "-rand_serial", "-startdate", start, "-enddate", end, *options)
