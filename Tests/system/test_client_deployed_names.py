"""The client under the names of the deployed client's scripts: every call ends alike and prints the same."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from deployed import client_of, new_key
from impostor import Impostor, reply
from node import CLEAN, SHACACHE, Node
from stack import free_port
from test_client_download import dangling, published
from test_real_client import SCRIPTS

NAMES = ["networkcache-upload", "networkcache-download", "generate-signature-key"]


class Place:
    """A directory with the same things in it for each of both."""

    def __init__(self, directory, scripts, stack, refusing):
        self.directory, self.scripts = directory, scripts
        node = Node.of(stack, directory)
        (directory / "file").write_bytes(b"the file")
        (directory / "tree/below").mkdir(parents=True)
        (directory / "tree/below/file").write_bytes(b"in the tree")
        (directory / "good.json").write_text('{"n": 1.50, "list": [1, "two", null], "\\u00e9": "\\u00e9", "url": "x"}')
        (directory / "bad.json").write_text("{")
        (directory / "list.json").write_text("[]")
        (directory / "no-section.cfg").write_text("[slapos]\n")
        refused = Node(directory / "refused", {**node.options, **refusing.options})
        shutil.move(refused.config, directory / "refused.cfg")
        stranger = Node(directory / "stranger", {**node.options, "signature-certificate-list": ""})
        shutil.move(stranger.config, directory / "stranger.cfg")

    def run(self, name, *words, **environment):
        done = subprocess.run(
            [self.scripts / name, *map(str, words)], cwd=self.directory, env={**CLEAN, **environment}, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=60)
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def links(tmp_path_factory):
    directory = tmp_path_factory.mktemp("links")
    for name in NAMES:
        (directory / name).symlink_to(SHACACHE)
    return directory


@pytest.fixture(scope="module")
def refusing():
    with Impostor(lambda handler: reply(handler, 403, b"no")) as impostor:
        yield impostor


@pytest.fixture(scope="module")
def places(stack, links, refusing, tmp_path_factory):
    return [Place(tmp_path_factory.mktemp("place"), scripts, stack, refusing) for scripts in (SCRIPTS, links)]


@pytest.fixture(scope="module")
def keys(stack):
    several = new_key()
    for revision in [4, 1], [4, 2], [5, 0]:
        published(stack, b"%d %d" % tuple(revision), several, revision=revision, name="é", ratio=1.0)
    url = f"https://example.org/{new_key()}"
    published(stack, b"by URL", f"file-urlmd5:{hashlib.md5(url.encode()).hexdigest()}", url=url)
    unsigned = new_key()
    stack.index(unsigned, json.dumps({"sha512": stack.upload(b"unsigned")}))
    return {
        "one": published(stack, os.urandom(300_000)), "several": several, "dangling": dangling(stack, None), "url": url,
        "escaped": published(stack, b"escaped", f"{new_key()}%2B/&;=,"), "unsigned": unsigned, "unknown": new_key(),
        "fragment": several + "#fragment", "query": several + "?query"}


CONFIG = "-c slapos.cfg "
DOWNLOADS = [
    CONFIG + "-k {one}", CONFIG + "--key {one}", CONFIG + "--key={one}", CONFIG + "-k{one}", "-cslapos.cfg -k {one}",
    "--config slapos.cfg -k {one}", "--config=slapos.cfg -k {one}", "--conf slapos.cfg --ke {one}", "-k {one} -c slapos.cfg",
    CONFIG + "-lk{one}", "-lcslapos.cfg -k {several}", CONFIG + "-k {one} -lx", CONFIG + "-k {one} -ll",
    CONFIG + "-k {one} -l", CONFIG + "-l -k {several}", CONFIG + "--list -k {several}", CONFIG + "--li -k {several}",
    CONFIG + "-u {url}", CONFIG + "--url {url} -l", CONFIG + "-k {fragment}", CONFIG + "-k {query}",
    CONFIG + "-k {several} revision==[4,2]", CONFIG + "-k {several} revision>=[4,2] revision<<Infinity",
    CONFIG + "-k {several} revision>=[4,2] revision<<[9]", CONFIG + "-k {several} revision>>[] -l",
    CONFIG + '-k {several} name=="é" -l', CONFIG + '-k {several} name=="\\u00e9" revision<[4,2]', "revision==[5,0] " + CONFIG + "-k {several}",
    CONFIG + "-k {several} ratio==1 -l", CONFIG + "-k {several} ratio==true -l", CONFIG + "-k {several} name>1 -l",
    CONFIG + "-k {several} revision==[9]", CONFIG + "-k {several} other==1", CONFIG + "-k {unsigned}",
    CONFIG + "-k {unknown}", CONFIG + "-k {dangling}", CONFIG + "-k {dangling} -l", CONFIG + "-k {escaped}",
    CONFIG + "-k {several} nofilter", CONFIG + "-k {several} n==text", CONFIG + "-k {several} n==", CONFIG + "-k {several} n=1",
    "", "-k {one}", CONFIG, CONFIG + "-k", "-c missing.cfg -k {one}", "-c no-section.cfg -k {one}",
    "-c stranger.cfg -k {one}", "-c refused.cfg -k {one}", CONFIG + "-k {one} -u {url}", CONFIG + "-k {one} --unknown", CONFIG + "-k {one} -x",
]


@pytest.mark.parametrize("words", DOWNLOADS)
def test_a_download_ends_alike_and_prints_the_same(places, keys, words):
    real, ours = (place.run("networkcache-download", *(word.format(**keys) for word in words.split())) for place in places)
    assert ours == real


UPLOADS = [
    CONFIG + "-k {key} -f file a=b", CONFIG + "-k {key} -f file a=b=c b= a=d", CONFIG + "-k {key} -f file a=b sha512=x",
    CONFIG + "-k {key} -f file key=b", CONFIG + "-k{key} -ffile a=é",
    CONFIG + "--key {key} --file file --metadata good.json", CONFIG + "--key {key} --fil file --meta good.json n=x new=y",
    CONFIG + "-f file", CONFIG + "-f file -k {key}", CONFIG + "-f file -u https://example.org/{key}",
    CONFIG + "-f file -u https://example.org/{key} -m good.json a=b", CONFIG + "-u file://{place}/file a=b", CONFIG + "-k {key} -u file a=b",
    CONFIG + "-u file", CONFIG + "-u {place}/missing", CONFIG + "-u file://{place}/missing", CONFIG + "-u {refusing}/x",
    CONFIG + "-k {key} -f missing a=b", CONFIG + "-k {key} -f tree a=b", CONFIG + "-k {key} -f file noequals",
    CONFIG + "-k {key} -f file -m missing.json", CONFIG + "-k {key} -f file -m bad.json", CONFIG + "-k {key} -f file -m list.json",
    "", CONFIG, CONFIG + "-k {key}", CONFIG + "-k {key} a=b", CONFIG + "-k {key} -f", "-c missing.cfg -f file", "-c no-section.cfg -f file",
    "-c stranger.cfg -f file -k {key} a=b", "-c refused.cfg -f file -k {key} a=b", CONFIG + "-f file --unknown", CONFIG + "-k {key} -u x -f file a=b",
]


def made(stack, key):
    """What stands under the key, and under that of the URL with it."""
    url = f"https://example.org/{key}"
    return stack.entries(key), [
        [metadata.replace(key, "KEY") for metadata, _ in stack.entries(f"file-urlmd5:{hashlib.md5(url.encode()).hexdigest()}") or []]]


# Byte for byte: the signature is one of the metadata's text, which Python writes as it does.
@pytest.mark.parametrize("words", UPLOADS)
def test_an_upload_ends_alike_and_makes_the_same_entry(stack, places, refusing, words):
    results = []
    for place in places:
        key = new_key()
        names = {"key": key, "place": place.directory, "refusing": refusing.url}
        result = place.run("networkcache-upload", *(word.format(**names) for word in words.split()))
        results.append((result, made(stack, key)))
    assert results[1] == results[0]


def test_a_directory_goes_up_as_an_archive_that_both_extract(stack, places):
    for place in places:
        url = place.directory / "tree"
        assert place.run("networkcache-upload", "-c", "slapos.cfg", "-u", url, "a=b") == (0, b"")
        for other in places:
            code, archive = other.run("networkcache-download", "-c", "slapos.cfg", "-u", url)
            out = other.directory / f"out-{place.directory.name}"
            out.mkdir()
            subprocess.run(["tar", "-xz"], input=archive, cwd=out, check=True)
            assert code == 0 and (out / "tree/below/file").read_bytes() == b"in the tree"
        (found,) = client_of(stack).select(f"file-urlmd5:{hashlib.md5(str(url).encode()).hexdigest()}")
        assert list(found) == ["sha512", "a", "url"]


# Deployed.settings: libcurl would take them, http.client doesn't. What an upload fetches comes through them on both sides.
def test_the_cache_is_asked_without_the_proxies_of_the_environment(places, keys):
    proxies = dict.fromkeys(["http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "HTTPS_PROXY"], f"http://127.0.0.1:{free_port()}")
    results = []
    for place in places:
        key = new_key()
        assert place.run("networkcache-upload", "-c", "slapos.cfg", "-k", key, "-f", "file", "a=b", **proxies) == (0, b"")
        assert place.run("networkcache-download", "-c", "slapos.cfg", "-k", key, **proxies) == (0, b"the file")
        results.append(place.run("networkcache-upload", "-c", "slapos.cfg", "-u", "http://localhost:1/x", **proxies)[0])
    assert results == [1, 1]


# DeployedOptions.earlierKey. Scripts since 0.26 know no --prefix-key, so what 0.25 says of itself is written here:
# nc.upload(f, args.prefix_key + urlmd5 + args.suffix_key, **kw), and kw.setdefault('url', args.url).
@pytest.mark.parametrize("words, begins, ends", [
    ("--prefix-key file: --suffix-key :x", "file:", ":x"), ("--prefix-key slapos-buildout-", "slapos-buildout-", ""),
    ("--suffix-key=-end", "", "-end"), ("--pre a: --suf :b", "a:", ":b")])
def test_the_grammar_before_0_26_is_taken(stack, places, words, begins, ends):
    url = f"https://example.org/{new_key()}"
    command = ["--config", "slapos.cfg", *words.split(), "--url", url]
    ours = places[1]
    assert ours.run("networkcache-upload", *command, "--file", "file", "a=b") == (0, b"")
    ((metadata, _),) = stack.entries(f"{begins}{hashlib.md5(url.encode()).hexdigest()}{ends}")
    assert list(json.loads(metadata).items())[1:] == [("a", "b"), ("url", url)]
    assert ours.run("networkcache-download", *command) == (0, b"the file")


@pytest.mark.parametrize("words", ["-k key --prefix-key a:", "-f file --suffix-key :b", "-k key -u http://a/b --prefix-key a:"])
def test_a_prefix_without_a_url_is_refused(places, words):
    for name in "networkcache-upload", "networkcache-download":
        code, output = places[1].run(name, "-c", "slapos.cfg", *words.split())
        assert (code, output) == (2, b"")


KEYS = ["--cert-file {new}.crt {new}.key Me", "{new}.key Me --cert-file={new}.crt", "--cert {new}.crt {new}.key Me",
        "--cert-file {new}.crt there Me", "--cert-file there {new}.key Me", "", "--unknown {new}.key Me", "a b c",
        "--cert-file {new}.crt missing/key Me"]


@pytest.mark.parametrize("number, words", enumerate(KEYS))
def test_keys_are_made_alike(places, number, words):
    results = []
    for place in places:
        (place.directory / "there").write_bytes(b"keep me")
        code, output = place.run("generate-signature-key", *(word.format(new=f"new{number}") for word in words.split()))
        output = re.sub(b"(?s)-----BEGIN.*?-----END CERTIFICATE-----", b"PEM", output)
        results.append((code, output, sorted(path.name for path in place.directory.glob(f"new{number}*"))))
        assert (place.directory / "there").read_bytes() == b"keep me"
    assert results[1] == results[0]


def test_the_older_form_reads_the_files_from_the_configuration(places):
    ours = places[1]
    (ours.directory / "older.cfg").write_text(
        "[slapos]\ncomputer_id = COMP-7\n[networkcache]\n"
        "signature_private_key_file = older.key\nsignature_certificate_file = older.crt\n")
    assert ours.run("generate-signature-key", "older.cfg")[0] == 0
    subject = subprocess.run(
        ["openssl", "x509", "-in", ours.directory / "older.crt", "-noout", "-subject"], capture_output=True, text=True)
    assert subject.stdout.replace(" ", "").strip().endswith("CN=COMP-7")
    key = (ours.directory / "older.key").read_bytes()
    assert ours.run("generate-signature-key", "older.cfg")[0] == 1
    assert (ours.directory / "older.key").read_bytes() == key


@pytest.mark.parametrize("name", NAMES)
def test_help_is_no_failure(places, name):
    for place in places:
        code, output = place.run(name, "--help")
        assert code == 0 and b"usage" in output.lower()
