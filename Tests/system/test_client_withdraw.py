"""shacache withdraw: an uploader hides what he uploaded, and is told when it isn't his to hide."""

import hashlib
import json
import os

import pytest
from deployed import client_of, metadata_of
from node import DONE, FAILED, MISSING, MISUSE, UNREACHABLE, Node, assert_ended
from slapos.libnetworkcache import HTTPError
from stack import Database
from test_real_client import new_key


@pytest.fixture
def uploader(closed, account, tmp_path):
    """Another account's machine, which may withdraw."""
    closed.admin("account", "set", account, "--role", "blobs", "--role", "entries", "--role", "withdraw")
    closed.admin("certificate", "issue", account, "--out", tmp_path)
    files = {
        f"{service}-{what}-file": tmp_path / f"{account}.{what.replace('cert', 'crt')}"
        for service in ("shacache", "shadir") for what in ("cert", "key")}
    return Node.of(closed, tmp_path / "node", **{name.replace("-", "_"): file for name, file in files.items()})


def upload(node, *words, data=None):
    """Returns the hash."""
    (node.directory / "file").write_bytes(data or os.urandom(100))
    done = node.run("upload", "file", *words)
    assert done.returncode == DONE, done
    return done.stdout.decode().strip()


def withdrawals(stack, reason):
    return Database(stack).run(
        f"SELECT account.name, target FROM shacache.withdrawal JOIN shacache.account ON account.id = account_id "
        f"WHERE reason = '{reason}'")


FORMS = {
    "a key": ("--key", "my key/ü?&#%2F"),
    "a URL": ("--url", "https://example.org/a b.tar.gz?x=1"),
    "a distribution": ("--pypi", "six==1.16.0"),
}


@pytest.mark.parametrize("form, value", FORMS.values(), ids=FORMS)
def test_a_keys_entries_are_hidden_with_the_reason(closed, account, uploader, form, value):
    value += os.urandom(4).hex()
    upload(uploader, form, value)
    assert uploader.run("download", form, value).returncode == DONE
    reason = f"es war falsch: ä & b=c+d #1 100%{os.urandom(4).hex()}"
    done = uploader.run("withdraw", form, value, "--reason", reason)
    assert_ended(done, DONE, "withdrawn")
    assert withdrawals(closed, reason) == [(account, "entries")]
    assert uploader.run("download", form, value).returncode == MISSING
    assert uploader.json("lookup", form, value, status=MISSING)["entries"] == []
    # A second time there is nothing.
    assert_ended(uploader.run("withdraw", form, value, "--reason", reason), MISSING, "404")


def test_of_a_key_only_what_names_a_blob(closed, uploader):
    key = new_key()
    first, second = upload(uploader, "--key", key), upload(uploader, "--key", key)
    done = uploader.json("withdraw", "--key", key, "--sha512", first.upper(), "--reason", "the first one")
    assert done == {"key": key, "sha512": first}
    assert [json.loads(metadata)["sha512"] for metadata, _ in closed.entries(key)] == [second]


# Two that name the same file: `lookup` tells them apart.
def test_of_a_key_the_very_entry(closed, uploader):
    key, data = new_key(), os.urandom(100)
    for flavour in "a", "b":
        upload(uploader, "--key", key, "--meta", f"flavour={flavour}", data=data)
    found = {row["metadata"]["flavour"]: row["entry"] for row in uploader.json("lookup", "--key", key)["entries"]}
    done = uploader.run("withdraw", "--key", key, "--entry", found["a"], "--reason", "the wrong one")
    assert_ended(done, DONE, f"{key}: entry {found['a']} withdrawn; another account that uploads the same shows it again")
    assert [json.loads(metadata)["flavour"] for metadata, _ in closed.entries(key)] == ["b"]


def test_a_software_release_is_withdrawn_from_the_binary_cache(closed, uploader):
    url = f"https://example.org/{os.urandom(4).hex()}/software.cfg"
    key = hashlib.md5(url.encode()).hexdigest()
    upload(uploader, "--key", key)
    uploader.change(upload_dir_url=None, download_dir_url=None)
    assert_ended(uploader.run("withdraw", "--software-release", url, "--reason", "crashes"), DONE, key)
    assert closed.entries(key) == []


def test_a_blob_is_a_404_from_then_on(closed, account, uploader):
    digest = upload(uploader)
    assert client_of(closed).download(digest).read()
    done = uploader.run("withdraw", "--blob", digest, "--reason", reason := f"a password {digest[:8]}")
    assert_ended(done, DONE, "withdrawn")
    assert withdrawals(closed, reason) == [(account, "blob")]
    with pytest.raises(HTTPError) as caught:
        client_of(closed).download(digest)
    assert caught.value.code == 404
    assert uploader.run("download", "--sha512", digest).returncode == MISSING


def test_what_is_not_ones_own_is_refused_in_the_servers_words(closed, account, uploader):
    digest, key = closed.upload(os.urandom(100)), new_key()
    closed.index(key, metadata_of(digest))
    done = uploader.run("withdraw", "--blob", digest, "--reason", "not mine")
    assert (done.returncode, b"403 other accounts" in done.stderr, b"reason=" in done.stderr) == (FAILED, True, False), done
    assert_ended(uploader.run("withdraw", "--key", key, "--reason", "not mine"), FAILED, "403 other accounts")
    assert_ended(uploader.run("withdraw", "--key", new_key(), "--reason", "nothing"), MISSING, "404")
    closed.admin("account", "set", account, "--role", "blobs", "--role", "entries")
    done = uploader.run("withdraw", "--key", key, "--reason", "no right")
    assert_ended(done, FAILED, "403")
    assert f"/shadir/{key}: 403 the account" in done.stderr.decode(), done
    assert closed.entries(key) and closed.request("GET", f"/shacache/{digest}")[0] == 200


@pytest.mark.parametrize(
    "words",
    [
        [], ["--reason", "x"], ["--key", "a"], ["--key", "a", "--reason", ""], ["--key", "a", "--url", "b", "--reason", "x"],
        ["--key", "a", "--blob", "0" * 128, "--reason", "x"], ["--blob", "0" * 127, "--reason", "x"],
        ["--blob", "0" * 128, "--entry", "0" * 64, "--reason", "x"], ["--key", "a", "--entry", "0" * 63, "--reason", "x"],
        ["--blob", "0" * 128, "--sha512", "0" * 128, "--reason", "x"], ["--key", "a", "--sha512", "x", "--reason", "x"],
    ],
    ids=" ".join)
def test_misuse_is_told_and_nothing_is_asked(uploader, words):
    uploader.change(upload_dir_url="http://127.0.0.1:1", upload_cache_url="http://127.0.0.1:1")
    done = uploader.run("withdraw", *words)
    assert (done.returncode, done.stdout) == (MISUSE, b""), done


def test_a_cache_that_can_not_be_reached_or_is_not_set(uploader):
    uploader.change(upload_dir_url="http://127.0.0.1:1")
    assert_ended(uploader.run("withdraw", "--key", "a", "--reason", "x", "--retries", "0"), UNREACHABLE)
    uploader.change(upload_dir_url=None)
    assert_ended(uploader.run("withdraw", "--key", "a", "--reason", "x"), MISUSE, "upload-dir-url")
