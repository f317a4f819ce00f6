"""An OpenSSL that offers fewer digests than we know, as FIPS and security policies make it: what needs none of the missing
ones works, all else ends with a line and an exit code. Programs that hash with what isn't there are killed by a trap."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from deployed import client_of, marks, new_key
from node import CLEAN, DONE, FAILED, MISSING, SHACACHE, Node, assert_ended
from stack import REPOSITORY, Stack


def provider(directory, name, *lines):
    """A configuration of OpenSSL that has this provider alone; the environment that names it."""
    config = directory / f"{name}.cnf"
    config.write_text("\n".join([
        "openssl_conf = all", "[all]", "providers = providers", "[providers]", f"{name} = it", "[it]", "activate = 1",
        *lines]) + "\n")
    return {"OPENSSL_CONF": str(config)}


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """Without MD5, and without RSA signatures of SHA-1."""
    directory = tmp_path_factory.mktemp("strict")
    library = directory / "strict.so"
    subprocess.run(
        ["cc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("strict_provider.c"),
         "-lcrypto"], check=True)
    env = provider(directory, "strict", f"module = {library}")

    def dgst(*words):
        return subprocess.run(["openssl", "dgst", *words, library], env={**os.environ, **env}, capture_output=True).returncode
    assert dgst("-md5") != 0 and dgst("-sha1") == dgst("-sha512") == 0
    return env


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Without any digest."""
    return provider(tmp_path_factory.mktemp("bare"), "base")


# The defending lines: Hash.Algorithm.fetch() loads a provider of its own for MD5; PrivateKey.sign() and PublicKey.verifies()
# require their digest; ClientOptions.perform(), DeployedCommand.run() and each server program's run() require SHA-2.


def test_what_needs_neither_md5_nor_signing_goes_on(node, stack, strict):
    (node.directory / "file").write_bytes(os.urandom(100))
    url = f"https://example.org/{new_key()}"
    client = client_of(stack)
    with open(node.directory / "file", "rb") as file:
        assert client.upload(file, f"file-urlmd5:{md5(url)}", url=url)
    (entry,) = node.json("lookup", "--url", url, env=strict)["entries"]
    assert entry["trusted"]
    for words in ["--url", url], ["--sha512", entry["sha512"]]:
        done = node.run("download", *words, env=strict)
        assert done.returncode == DONE and done.stdout == (node.directory / "file").read_bytes(), done
    (node.directory / "new").write_bytes(os.urandom(100))
    assert_ended(node.run("upload", "new", env=strict), DONE)


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def test_an_entry_that_cannot_be_signed_is_refused_before_anything_is_sent(node, stack, strict):
    (node.directory / "file").write_bytes(os.urandom(100))
    key = new_key()
    done = assert_ended(node.run("upload", "--key", key, "file", env=strict), FAILED, "make a signature with SHA-1")
    assert b"hint: nodes check no other signatures" in done.stderr
    release = node.directory / "release"
    release.mkdir()
    assert_ended(
        node.run("binary-cache", "publish", "--software-url", f"https://example.org/{key}", "release", env=strict), FAILED,
        "make a signature with SHA-1")
    assert stack.entries(key) is None
    assert node.run("download", "--sha512", hashlib.sha512((node.directory / "file").read_bytes()).hexdigest(), env=strict).returncode == MISSING


def test_the_doctor_finds_that_this_machine_cannot_sign(node, strict):
    (found,) = [finding for finding in node.json("doctor", "--read-only", status=FAILED, env=strict) if finding["verdict"] == "failed"]
    assert found["subject"] == "signature-private-key-file" and "signature with SHA-1" in found["text"]
    assert "sign on another machine" in found["mend"]


@pytest.mark.parametrize("words", ["lookup --url http://a/b", "download --key a", "upload slapos.cfg", "doctor", "config"])
def test_the_client_says_that_openssl_offers_no_digest(node, bare, words):
    assert_ended(node.run(*words.split(), env=bare), FAILED, "OpenSSL offers no SHA2-256")


def test_the_old_names_say_it(node, bare, tmp_path):
    for name, words in {
            "networkcache-upload": ["-c", node.config, "-f", node.config], "networkcache-download": ["-c", node.config, "-k", "a"],
            "generate-signature-key": ["key", "name"]}.items():
        (tmp_path / name).symlink_to(SHACACHE)
        done = subprocess.run([tmp_path / name, *words], env={**CLEAN, **bare}, cwd=tmp_path, capture_output=True, timeout=60)
        assert_ended(done, 1, "OpenSSL offers no SHA2-256")


@pytest.mark.parametrize("words", [
    "shacached", "shacached --check-config", "shacache-page --templates {page}", "shacache-admin account list",
    "shacache-admin status"])
def test_the_servers_programs_say_it(stack, bare, words):
    program, *words = words.format(page=REPOSITORY / "page").split()
    done = subprocess.run(
        [REPOSITORY / ".build/release" / program, *words, "--config", stack.state / "shacache.toml"],
        env={**CLEAN, **bare}, capture_output=True, timeout=60)
    assert_ended(done, 1, f"{program}: OpenSSL offers no SHA2-256")


def test_a_server_without_md5_works(strict, tmp_path):
    """It finds a URL's keys on its page, and takes blobs and signed entries."""
    with Stack(tmp_path / "stack", **strict) as stack:
        node = Node.of(stack, tmp_path / "node")
        (node.directory / "file").write_bytes(b"bytes")
        url = "https://example.org/a.tar.gz"
        assert_ended(node.run("upload", "--url", url, "file"), DONE)
        assert md5(url) in stack.request("GET", f"/?q={url}")[2].decode()
        assert [result for result, _ in marks(stack, f"file-urlmd5:{md5(url)}")] == ["verified"]
