"""The deployed client, slapos.libnetworkcache 0.30, as it comes from PyPI: its own tests, its class, its scripts."""

import hashlib
import io
import json
import os
import subprocess
import sys
import sysconfig
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from certificates import self_signed
from cutting import CuttingProxy, ranges
from deployed import client_of, marks, metadata_of, new_key, selected, sign
from slapos import libnetworkcache, libnetworkcachetests
from slapos.libnetworkcache import NetworkcacheClient, NetworkcacheException
from stack import Database
from wire import Wire

SCRIPTS = Path(sysconfig.get_path("scripts"))

# Its own tests

APPLICABLE = {
    "test_upload",
    "test_upload_shadir",
    "test_upload_shadir_select",
    "test_upload_shadir_select_not_exists",
    "test_upload_twice_same",
    "test_download",
    "test_download_not_exists",
    "test_select_signed_content",
    "test_select_signed_content_several_certificates",
    "test_select_signed_content_multiple",
    "test_NetworkcacheClient_handle_bad_certificates",
    "test_DirectoryNotFound_non_trustable_entry",
}
# Not applicable: these edit the files of the toy server that the tests bring along. A server that was tampered with is
# tested below, and in test_real_client_entries.py that what the others write is never stored.
EDIT_THE_TOY_SERVER = {
    "test_select_no_entries",
    "test_select_no_json_response",
    "test_select_json_no_in_json_response",
    "test_select_json_in_json_no_dict",
    "test_select_signed_content_server_hacked",
}
# OnlineTestSSLServer brings certificates of an authority of its own, long expired; the other two are about servers
# that answer wrongly.
OTHER_CLASSES = {"OnlineTestSSLServer", "OnlineTestPOST200", "OnlineTestWrongChecksum"}


def test_the_clients_own_online_tests_are_those_that_are_known_here():
    names = set(unittest.defaultTestLoader.getTestCaseNames(libnetworkcachetests.OnlineTest))
    assert names == APPLICABLE | EDIT_THE_TOY_SERVER
    assert (len(APPLICABLE), len(EDIT_THE_TOY_SERVER)) == (12, 5)
    classes = {name for name in vars(libnetworkcachetests) if name.startswith("Online") and name != "OnlineMixin"}
    assert classes == {"OnlineTest", *OTHER_CLASSES}


@pytest.mark.parametrize("name", sorted(APPLICABLE))
def test_the_clients_own_test_passes(cache, name):
    done = subprocess.run(
        [sys.executable, "-m", "unittest", f"slapos.libnetworkcachetests.OnlineTest.{name}"],
        env={**os.environ, "TEST_SHA_CACHE": cache.env["SHACACHE_URL"], "TEST_SHA_DIR": cache.env["SHADIR_URL"]},
        capture_output=True, text=True)
    assert done.returncode == 0 and "Ran 1 test" in done.stderr and "OK" in done.stderr, done.stderr


# Its class, over TLS with certificate and signature


def test_the_client_uploads_looks_up_and_downloads(cache):
    client, key, data = client_of(cache), new_key(), os.urandom(100_000)
    assert client.upload(io.BytesIO(data), key, file="a", revision=7) == hashlib.sha512(data).hexdigest()
    (found,) = selected(client, key)
    assert found == {"sha512": hashlib.sha512(data).hexdigest(), "file": "a", "revision": 7}
    assert client.download(found["sha512"]).read() == data


# Without a certificate it can't: over HTTPS the client wants one for downloads, too.
def test_the_client_downloads_over_tls(cache):
    client = client_of(cache, **{
        "download-cache-url": cache.env["UPLOAD_SHACACHE_URL"], "download-dir-url": cache.env["UPLOAD_SHADIR_URL"]})
    key = new_key()
    client.upload(io.BytesIO(b"over TLS"), key, file="a")
    assert client.download(selected(client, key)[0]["sha512"]).read() == b"over TLS"


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("cache_path, dir_path", [("/shacache", "/shadir"), ("/shacache/cache", "/shacache/dir")])
def test_the_client_may_write_its_urls_with_a_slash_or_without_and_as_slapproxys(stack, cache_path, dir_path, slash):
    plain, secure = (stack.env[name].removesuffix("/shacache") for name in ("SHACACHE_URL", "UPLOAD_SHACACHE_URL"))
    client = client_of(stack, **{
        "download-cache-url": plain + cache_path + slash, "download-dir-url": plain + dir_path + slash,
        "upload-cache-url": secure + cache_path + slash, "upload-dir-url": secure + dir_path + slash})
    key = new_key()
    client.upload(io.BytesIO(os.urandom(20)), key, file="a")
    assert len(selected(client, key)) == 1


@pytest.mark.parametrize("key", ["pypi:slapos.core=1.2", "pypi:x>=1,<2", "a&b;c", "a/../b", "a//b", "a+b", "x..y"])
def test_the_client_sends_keys_raw(stack, key):
    client, key = client_of(stack), f"{new_key()}{key}"
    client.index(key, sha512="0" * 128, mark=key)
    assert [found["mark"] for found in selected(client, key)] == [key]


# A signature certificate is self-signed, often of 1024 bits and often expired: its key alone counts.
@pytest.mark.parametrize("bits", [1024, 2048])
def test_signatures_of_any_usual_key_are_verified_by_client_and_server(stack, tmp_path, bits):
    certificate, signing_key = self_signed(tmp_path, "signature", f"RSA:{bits}")
    signer = f"s{os.urandom(4).hex()}"
    stack.admin("signer", "add", signer, certificate)
    key = new_key()
    client_of(stack, certificate, signing_key).upload(io.BytesIO(b"signed"), key, file="a")
    assert len(selected(client_of(stack, certificate, signing_key), key)) == 1
    # Who trusts others sees nothing.
    assert selected(client_of(stack), key) == []
    assert marks(stack, key) == [("verified", signer)]


def test_the_server_marks_entries_with_what_it_found(stack, tmp_path):
    _, stranger = self_signed(tmp_path, "stranger", "RSA:1024")
    key, text = new_key(), metadata_of()
    other = metadata_of(mark="other")
    for metadata, signature in (
        (text, sign(stack, text)),
        (text, ""),
        (text, sign(stack, text, stranger)),
        (text, sign(stack, other)),
        (other, sign(stack, other, digest="sha256")),
        (text, "AAAA"),
    ):
        stack.index(key, metadata, signature)
    verified, unknown = ("verified", "demo"), ("unknown signer", "")
    assert marks(stack, key) == [verified, ("unsigned", ""), unknown, unknown, verified, unknown]


# Its scripts


def script(name, *words):
    return subprocess.run([SCRIPTS / name, *map(str, words)], capture_output=True)


def printed(stack, start, end):
    """The commands that `make run` printed between two marks."""
    lines = stack.output.read_text().split(start, 1)[1].split(end, 1)[0].splitlines()
    return "".join(f"{line}\n" for line in lines if line.startswith("  "))


def test_the_commands_for_curl_work_as_make_run_prints_them(cache):
    commands = printed(cache, "with curl:", "or with the client")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("the same bytes\n"), (commands, done)


def test_the_commands_for_the_client_work_as_make_run_prints_them(cache):
    venv = cache.state / "client/venv"
    venv.symlink_to(sys.prefix)
    commands = printed(cache, "or with the client", "Ctrl-C ends it")
    assert commands.count("networkcache-upload") == 1 and commands.count("networkcache-download") == 2
    # The first one installs what the tests have installed already.
    first, rest = commands.split("\n", 1)
    assert "slapos.libnetworkcache==0.30" in first and "networkcache-" not in first
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", rest], capture_output=True, text=True)
    venv.unlink()
    assert done.returncode == 0 and done.stdout.endswith("the same bytes\n"), (commands, done)
    assert '"file": "README.md"' in done.stdout


def test_the_scripts_find_by_metadata(cache, tmp_path):
    (tmp_path / "file").write_bytes(data := os.urandom(100_000))
    key, words = new_key(), ["-c", cache.state / "client/networkcache.cfg", "-k"]
    done = script("networkcache-upload", *words, key, "-f", tmp_path / "file", "file=file", "n=1")
    assert done.returncode == 0, done
    done = script("networkcache-download", *words, key, "-l")
    assert json.loads(done.stdout) == [{"sha512": hashlib.sha512(data).hexdigest(), "file": "file", "n": "1"}]
    done = script("networkcache-download", *words, key, 'n=="1"')
    assert (done.returncode, done.stdout) == (0, data)
    assert script("networkcache-download", *words, key, 'n=="2"').returncode != 0
    assert script("networkcache-download", *words, new_key()).returncode != 0


def test_the_scripts_upload_a_directory_under_its_url(stack, tmp_path):
    config = stack.state / "client/networkcache.cfg"
    (tmp_path / "release").mkdir()
    (tmp_path / "release/file").write_text("inside")
    (tmp_path / "metadata.json").write_text('{"multiarch": "x86_64-linux-gnu", "os": ["debian", "12", "bookworm"]}')
    done = script("networkcache-upload", "-c", config, "-u", tmp_path / "release", "-m", tmp_path / "metadata.json")
    assert done.returncode == 0, done
    done = script("networkcache-download", "-c", config, "-u", tmp_path / "release", "-l")
    (found,) = json.loads(done.stdout)
    assert (found["os"], found["url"]) == (["debian", "12", "bookworm"], str(tmp_path / "release"))
    done = script("networkcache-download", "-c", config, "-u", tmp_path / "release", 'multiarch=="x86_64-linux-gnu"')
    (tmp_path / "out").mkdir()
    NetworkcacheClient.extract(str(tmp_path / "out/release"), io.BytesIO(done.stdout))
    assert (tmp_path / "out/release/file").read_text() == "inside"


def test_a_signature_key_as_the_client_makes_it_is_registered_and_counts(stack, tmp_path):
    key_file, certificate = tmp_path / "signature.key", tmp_path / "signature.crt"
    assert script("generate-signature-key", "--cert-file", certificate, key_file, "Builder").returncode == 0
    stack.admin("signer", "add", signer := f"s{os.urandom(4).hex()}", certificate)
    config = (stack.state / "client/networkcache.cfg").read_text()
    trusted = "".join(f"    {line}\n" for line in certificate.read_text().splitlines())
    (tmp_path / "networkcache.cfg").write_text(
        config.replace(stack.env["SIGN_KEY"], str(key_file)).split("signature-certificate-list")[0]
        + f"signature-certificate-list =\n{trusted}")
    (tmp_path / "file").write_bytes(b"built")
    words = ["-c", tmp_path / "networkcache.cfg", "-k", key := new_key()]
    assert script("networkcache-upload", *words, "-f", tmp_path / "file", "file=a").returncode == 0
    assert script("networkcache-download", *words).stdout == b"built"
    assert marks(stack, key) == [("verified", signer)]


# One blob, many uploads


# The lock in BlobRepository.storeAlone: without it, two of them find no row, and both insert one.
def test_64_uploads_of_one_blob_at_once_are_all_answered_and_it_is_stored_once(stack):
    data, context = os.urandom(200_000), stack.tls()

    def send(_):
        with Wire(stack, context) as wire:
            answer = wire.request("POST", "/shacache", data)
            return answer.status, answer.body.decode()

    digest = hashlib.sha512(data).hexdigest()
    with ThreadPoolExecutor(64) as threads:
        assert list(threads.map(send, range(64))) == [(201, digest)] * 64
    assert Database(stack).run(
        f"""SELECT (SELECT count(*) FROM shacache.blob WHERE sha512 = '\\x{digest}'), count(*),
                count(*) FILTER (WHERE duplicate)
            FROM shacache.upload WHERE sha512 = '\\x{digest}'""") == [("1", "64", "63")]
    assert stack.request("GET", f"/shacache/{digest}")[2] == data


# Damage


def cut(file):
    os.truncate(file, file.stat().st_size - 1)


def empty(file):
    os.truncate(file, 0)


def grow(file):
    os.truncate(file, file.stat().st_size + 1)


def delete(file):
    file.unlink()


# LocalBlobs.presence compares with the size that was stored; the client then finds nothing and uploads.
@pytest.mark.parametrize("damage", [cut, empty, grow, delete])
def test_a_damaged_file_is_404_until_the_clients_next_upload_heals_it(stack, damage):
    client, data = client_of(stack), os.urandom(100_000)
    digest = client.upload(io.BytesIO(data))
    stack.blob_file(digest).chmod(0o640)
    damage(stack.blob_file(digest))
    for method in "GET", "HEAD":
        assert stack.request(method, f"/shacache/{digest}")[0] == 404
    with pytest.raises(libnetworkcache.HTTPError) as caught:
        client.download(digest)
    assert caught.value.code == 404
    client.upload(io.BytesIO(data))
    assert client.download(digest).read() == data


# direct.conf serves what lies there, and asks a worker about what doesn't.
def test_served_by_nginx_alone_a_deleted_file_is_404_until_it_is_uploaded_again(direct):
    client, data = client_of(direct), os.urandom(100_000)
    digest = client.upload(io.BytesIO(data))
    direct.blob_file(digest).unlink()
    assert direct.request("GET", f"/shacache/{digest}")[0] == 404
    client.upload(io.BytesIO(data))
    assert client.download(digest).read() == data


# LocalBlobs.replace replaces the file, whatever it holds. The client asks first and so doesn't upload again; others do.
def test_a_file_with_a_flipped_bit_is_healed_by_the_next_upload(stack):
    data = os.urandom(100_000)
    digest = stack.upload(data)
    file = stack.blob_file(digest)
    file.chmod(0o640)
    with open(file, "r+b") as opened:
        opened.seek(50_000)
        opened.write(bytes([data[50_000] ^ 1]))
    # The client notices, whoever sends it.
    with pytest.raises(NetworkcacheException, match="checksum"):
        client_of(stack).download(digest).read()
    stack.upload(data)
    assert stack.request("GET", f"/shacache/{digest}")[2] == data
    assert client_of(stack).download(digest).read() == data


def test_the_client_refuses_a_download_after_its_entry_was_tampered_with_in_the_database(stack, tmp_path):
    config, key = stack.state / "client/networkcache.cfg", new_key()
    (tmp_path / "file").write_bytes(b"the right one")
    assert script("networkcache-upload", "-c", config, "-k", key, "-f", tmp_path / "file", "file=a").returncode == 0
    assert script("networkcache-download", "-c", config, "-k", key).stdout == b"the right one"
    wrong = stack.upload(b"the wrong one")
    right = hashlib.sha512(b"the right one").hexdigest()
    Database(stack).run(
        f"UPDATE shacache.entry SET metadata = replace(metadata, '{right}', '{wrong}') WHERE key = '{key}'")
    assert wrong in stack.entries(key)[0][0]
    done = script("networkcache-download", "-c", config, "-k", key)
    assert done.returncode != 0 and done.stdout == b"" and b"No result found" in done.stderr, done
    assert selected(client_of(stack), key) == []


# Resuming

# The client resumes only after an answer with digits-only Content-Length and exactly `Accept-Ranges: bytes`.
@pytest.mark.parametrize("cuts", [[5_000], [100_000, 300_000, 1_000, 200_000], [999_999]])
def test_the_client_resumes_a_download_that_is_cut_with_exact_bytes(cache, cuts):
    data = os.urandom(1_000_000)
    digest = cache.upload(data)
    with CuttingProxy(int(cache.settings["HTTP_PORT"]), cuts) as proxy:
        client = client_of(cache, **{"download-cache-url": f"http://127.0.0.1:{proxy.port}/shacache"})
        download, received = client.download(digest), b""
        while piece := download.read(65_536):
            received += piece
        assert received == data
        asked = ranges(proxy)
        assert len(asked) <= len(cuts) + 1
        assert asked[0] is None and all(range_.startswith(b"bytes=") for range_ in asked[1:])


# Every non-2xx answer to a GET with Range has an empty body: a body of 4 bytes would make 125,001 requests of this.
@pytest.mark.parametrize("damage", [delete, cut])
def test_the_client_gives_up_soon_when_the_blob_has_gone_while_it_downloads(stack, damage):
    digest = stack.upload(os.urandom(1_000_000))
    with CuttingProxy(int(stack.settings["HTTP_PORT"]), [500_000]) as proxy:
        client = client_of(stack, **{"download-cache-url": f"http://127.0.0.1:{proxy.port}/shacache"})
        download = client.download(digest)
        assert download.read(1000)
        stack.blob_file(digest).chmod(0o640)
        damage(stack.blob_file(digest))
        with pytest.raises(NetworkcacheException, match="checksum"):
            while download.read(65_536):
                pass
        assert len(proxy.requests) <= 3
