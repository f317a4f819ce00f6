"""What the page tells people to do, done: its configurations read by the deployed client, its commands typed."""

import configparser
import hashlib
import html
import io
import os
import re
import subprocess
import sysconfig
from types import SimpleNamespace

import processes
import pytest
import slapgrid
from administration import name
from slapos.libnetworkcache import NetworkcacheClient
from stack import REPOSITORY, Stack, eventually

PLACEHOLDER = re.compile("^HERE .*$", re.MULTILINE)
URL = "https://example.org/a-1.0.tar.gz"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("use"), WORKERS="1") as stack:
        yield stack


def blocks(stack):
    """What stands on the first page to be copied, by its name."""
    status, _, body = stack.request("GET", "/")
    assert status == 200
    found = re.findall(r'<pre [^>]*aria-label="([^"]*)"><code>(.*?)</code></pre>', body.decode(), re.DOTALL)
    return {html.unescape(label): html.unescape(text) for label, text in found}


class Machine:
    """Somebody's, whose /etc/opt/slapos lies elsewhere."""

    def __init__(self, directory, stack):
        self.directory = directory
        self.slapos = directory / "slapos"
        self.environment = []
        self.blocks = {label: self.here(text) for label, text in blocks(stack).items()}
        directory.mkdir()

    def here(self, text):
        return text.replace("/etc/opt/slapos", str(self.slapos))

    def type(self, commands):
        path = f"{sysconfig.get_path('scripts')}:{REPOSITORY / '.build/release'}:/usr/bin:/bin"
        done = subprocess.run(
            ["env", "-i", f"PATH={path}", f"HOME={self.directory}", *self.environment, "bash", "-euo", "pipefail", "-c", commands], cwd=self.directory, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (commands, done)
        return done.stdout

    def configure(self, text, certificates):
        """The lines as they stand on the page, with certificates in the place that they name for them."""
        assert len(PLACEHOLDER.findall(text)) == 1
        self.environment = [f"SHACACHE_CONFIG={self.slapos / 'slapos.cfg'}"]
        (self.slapos / "slapos.cfg").write_text(PLACEHOLDER.sub(certificates.rstrip("\n"), text))

    def client(self):
        with open(self.slapos / "slapos.cfg") as file:
            return NetworkcacheClient(file)

    def options(self):
        """As slapgrid reads them."""
        parser = configparser.ConfigParser()
        parser.read(self.slapos / "slapos.cfg")
        return SimpleNamespace(options=dict(parser["networkcache"]))

    def fetched(self, key):
        client = self.client()
        return [client.download(entry["sha512"]).read() for entry in client.select(key)]


@pytest.fixture
def machine(cache, tmp_path):
    return Machine(tmp_path / "machine", cache)


@pytest.fixture
def builder(cache, machine):
    """Who has done what the page says, up to its last step."""
    cache.admin("account", "add", account := name())
    cache.admin("account", "bundle", account, "--out", machine.directory / "bundle.tar.gz")
    machine.type("tar --strip-components=1 -xzf bundle.tar.gz")
    machine.type(machine.blocks["Commands that put the account’s files into their places"].replace("NAME", account))
    printed = machine.type(machine.blocks["Command that makes the key"].replace("NAME", account))
    option, machine.certificates = printed.split("\n", 1)
    assert option == "signature-certificate-list ="
    machine.configure(machine.blocks["Lines for uploading"], machine.certificates)
    return machine


def signed_by_a_stranger(cache, machine, key, data):
    """An entry of somebody whom nobody trusts."""
    machine.type("shacache generate-signature-key --cert-file strange.crt strange.key Stranger")
    env = cache.env
    client = NetworkcacheClient({
        "signature-private-key-file": str(machine.directory / "strange.key"),
        "upload-cache-url": env["UPLOAD_SHACACHE_URL"], "upload-dir-url": env["UPLOAD_SHADIR_URL"],
        "download-cache-url": env["SHACACHE_URL"],
        **{f"{service}-{what}-file": env[variable] for service in ("shacache", "shadir")
           for what, variable in (("ca", "CA_FILE"), ("cert", "CLIENT_CERT"), ("key", "CLIENT_KEY"))}})
    client.upload(io.BytesIO(data), key, file="strange")


def test_who_follows_the_page_uploads_and_downloads(cache, builder):
    (builder.directory / "a-1.0.tar.gz").write_bytes(data := os.urandom(2000))
    key = f"file-urlmd5:{hashlib.md5(URL.encode()).hexdigest()}"
    signed_by_a_stranger(cache, builder, key, b"a stranger's")
    builder.type(builder.blocks["Commands that upload"])
    # The deployed client uploads, too, and both take back what was signed.
    other = os.urandom(20)
    builder.client().upload(io.BytesIO(other), key, file="b")
    assert builder.fetched(key) == [data, other]


def test_slapgrid_publishes_a_release_as_the_page_says_and_another_node_gets_it(cache, builder, tmp_path):
    url = f"https://example.org/tags/{name()}/software.cfg"
    directory = tmp_path / "root" / slapgrid.key_of(url)
    directory.mkdir(parents=True)
    (directory / "program").write_text("compiled")
    assert slapgrid.publish(builder.options(), directory, url, str(tmp_path / "archive"))
    builder.configure(builder.blocks["Lines for slapos.cfg"], builder.certificates)
    assert slapgrid.install(builder.options(), url, tmp_path / "elsewhere", str(tmp_path / "fetched"))
    assert (tmp_path / "elsewhere" / slapgrid.key_of(url) / "program").read_text() == "compiled"


# Without the list, the deployed client takes what anybody uploaded.
def test_buildout_gets_by_the_lines_for_a_profile_what_those_signed_whom_it_trusts(cache, builder):
    signed_by_a_stranger(cache, builder, key := f"try:{name()}", b"a stranger's")
    builder.client().upload(io.BytesIO(b"a builder's"), key, file="a")
    profile = builder.blocks["Lines for software.cfg"]
    builder.configure(profile, builder.certificates)
    assert builder.fetched(key) == [b"a builder's"]
    (builder.slapos / "slapos.cfg").write_text(re.sub("(?s)signature-certificate-list.*", "", profile))
    assert builder.fetched(key) == [b"a stranger's", b"a builder's"]


# Indent the line that stands for the certificates, and nobody is told that the list is empty.
@pytest.mark.parametrize("label", ["Lines for software.cfg", "Lines for slapos.cfg", "Lines for uploading"])
def test_lines_that_were_pasted_without_certificates_are_refused(cache, machine, label):
    lines = machine.blocks[label]
    with pytest.raises(configparser.ParsingError, match="HERE"):
        NetworkcacheClient(io.StringIO(lines))


def test_shacache_finds_sources_with_two_lines_more(cache, builder):
    (builder.directory / "a-1.0.tar.gz").write_bytes(b"the archive")
    builder.type(builder.blocks["Commands that upload"])
    (builder.directory / "a-1.0.tar.gz").unlink()
    lines = builder.blocks["Lines for slapos.cfg"].replace(
        "[networkcache]\n", "[networkcache]\n" + builder.blocks["Lines for shacache"] + "\n")
    builder.configure(lines, builder.certificates)
    assert URL in builder.type(builder.blocks["Commands with shacache"])
    assert (builder.directory / "a-1.0.tar.gz").exists()


def test_curl_uploads_and_downloads(cache, builder):
    (builder.directory / "FILE").write_bytes(data := os.urandom(2000))
    digest = builder.type(builder.blocks["Command that uploads with curl"])
    assert digest == hashlib.sha512(data).hexdigest()
    assert "OK" in builder.type(builder.blocks["Commands with curl"].replace("HASH", digest))
    assert (builder.directory / digest).read_bytes() == data


def test_the_site_is_called_as_it_calls_itself(start):
    stack = start(WORKERS="1")
    assert "Whoever runs this cache gives one to you" in stack.request("GET", "/")[2].decode()
    file = stack.state / "shacache.toml"
    made = file.read_text()

    def tell(contact):
        own = re.sub(r"(?m)^authority = .*\n", f"contact = {contact}\n", made)
        file.write_text(re.sub("(download|upload)-url = .*", r'\1-url = "https://\1.example.org/a%20b"', own))
        processes.send(stack, "page")
        eventually(lambda: stack.request("GET", "/")[0] == 200)
        return stack.request("GET", "/")[2].decode()

    for contact, shown in [
        ('"cache@example.org"', '<a href="mailto:cache@example.org">cache@example.org</a>'),
        ('"https://example.org/ask?for=it&now"', '<a href="https://example.org/ask?for=it&amp;now">https://example.org/ask?for=it&amp;now</a>'),
        ('"Bob <bob@example.org>, javascript:alert(1)"', "<bdi>Bob &lt;bob@example.org&gt;, javascript:alert(1)</bdi>")]:
        assert shown + ("</bdi>" if "<a" in shown else "") + " gives one to you" in tell(contact)
    found = blocks(stack)
    # An authority that every system knows: the deployed client wants a file nevertheless.
    lines = PLACEHOLDER.sub("", found["Lines for uploading"])
    parser = configparser.ConfigParser()
    parser.read_string(lines)
    options = dict(parser["networkcache"])
    for service in "shacache", "shadir":
        assert options[f"{service}-ca-file"] == "/etc/ssl/certs/ca-certificates.crt"
    for direction in "download", "upload":
        for use in "", "binary-":
            for service, path in ("cache", "shacache"), ("dir", "shadir"):
                assert options[f"{direction}-{use}{service}-url"] == f"https://{direction}.example.org/a%20b/{path}"
    assert "cache-ca.crt" not in "".join(found.values())
    # buildout knows no percent signs.
    assert "https://download.example.org/a%20b/shacache" in found["Lines for software.cfg"]
