"""`shacache download`: what comes out is whole, right and trusted, or nothing comes out."""

import hashlib
import json
import os
import signal
import threading
from pathlib import Path

import pytest
from certificates import self_signed
from cutting import CuttingProxy, ranges
from deployed import client_of, metadata_of, new_key, sign
from impostor import Impostor, reply
from node import DONE, FAILED, MISSING, MISUSE, UNREACHABLE, UNTRUSTED, Node, assert_ended
from slapos.libnetworkcache import NetworkcacheException
from stack import eventually, free_port

SIZE = 1_000_000


def pair(stack, digest, key=None, **metadata):
    """A signed entry."""
    text = metadata_of(digest, **metadata)
    return [text, sign(stack, text, key)]


def published(stack, data, key=None, **metadata):
    """Stores a blob and lists it, signed; returns the key."""
    key = key or new_key()
    stack.index(key, *pair(stack, stack.upload(data), **metadata))
    return key


def leftovers(directory):
    """Hidden files beside the outputs."""
    return [path for path in Path(directory).iterdir() if path.name.startswith(".")]


def flipped(data, position=-1):
    data = bytearray(data)
    data[position] ^= 1
    return bytes(data)


# To a file, to a pipe


def test_a_download_appears_under_its_name_and_standard_output_stays_empty(cache, tmp_path):
    node, data = Node.of(cache, tmp_path / "node"), os.urandom(SIZE)
    done = assert_ended(node.run("download", "-k", published(cache, data), "-o", "out"), DONE)
    assert (node.directory / "out").read_bytes() == data
    assert done.stdout == b"" and leftovers(node.directory) == []


@pytest.mark.parametrize("output", [[], ["-o", "-"], ["-o", "/dev/stdout"]])
def test_without_a_file_the_bytes_go_to_standard_output_and_nothing_else_does(stack, node, output):
    data = os.urandom(SIZE)
    done = assert_ended(node.run("download", "-k", published(stack, data), *output), DONE)
    assert done.stdout == data


def test_an_empty_blob_is_delivered(stack, node):
    assert_ended(node.run("download", "-k", published(stack, b""), "-o", "out"), DONE)
    assert (node.directory / "out").read_bytes() == b""


@pytest.mark.parametrize("data", [b"", b"old"])
def test_a_file_that_was_there_is_replaced_by_the_whole_or_kept(stack, node, data):
    out = node.directory / "out"
    out.write_bytes(data)
    assert_ended(node.run("download", "-k", new_key(), "-o", "out"), MISSING)
    assert out.read_bytes() == data
    assert_ended(node.run("download", "-k", published(stack, b"new"), "-o", "out"), DONE)
    assert out.read_bytes() == b"new"


# KeyOptions.chosen, Key.source, Key.python.
def test_urls_and_python_distributions_are_found_under_the_deployed_clients_keys(stack, node):
    url = f"https://example.org/{new_key()}.tar.gz?x=1"
    published(stack, b"by URL", f"file-urlmd5:{hashlib.md5(url.encode()).hexdigest()}")
    name = f"n{os.urandom(4).hex()}"
    published(stack, b"from PyPI", f"pypi:{name}=1.0")
    assert node.run("download", "--url", url).stdout == b"by URL"
    assert node.run("download", "--pypi", f"{name}==1.0").stdout == b"from PyPI"


@pytest.mark.parametrize("key", ["a&b;c", "a/../b", "a//b", "a+b", "a b", "é", "a%41", "a?b#c", "x..y"])
def test_keys_mean_what_they_say_whatever_is_in_them(stack, node, key):
    client_key = f"{new_key()}{key}"
    (node.directory / "file").write_bytes(client_key.encode())
    assert_ended(node.run("upload", "-k", client_key, "file"), DONE)
    assert node.run("download", "-k", client_key).stdout == client_key.encode()


def test_as_json_it_says_which_entry_it_took(stack, node):
    data = os.urandom(20)
    key = published(stack, data, revision=7)
    assert node.json("download", "-k", key, "-o", "out") == {
        "from": "cache", "key": key, "sha512": hashlib.sha512(data).hexdigest(),
        "metadata": {"sha512": hashlib.sha512(data).hexdigest(), "revision": 7}}


# Exit codes


@pytest.mark.parametrize("words", [
    [], ["-k", "a", "-u", "b"], ["--pypi", "a=1"], ["-k", "a", "no filter"], ["-k", "a", "n==text"],
    ["-k", "a", "--unknown"], ["-k", "a", "--upload-on-miss"], ["-k", "a", "--meta", "a=b"], ["-k", ""],
    ["-k", "a", "--retries", "x"], ["-k", "a", "-o", "/tmp"], ["-k", "a", "-O", "no-such-option=1"], ["-k", "a", "-O", "nothing"]])
def test_wrong_arguments_are_1_and_ask_nobody(deceived, impostor, words):
    done = assert_ended(deceived.run("download", *words), MISUSE)
    assert done.stdout == b"" and done.stderr and impostor.requests == []


@pytest.mark.parametrize("changes", [
    {"download_dir_url": None}, {"download_dir_url": ""}, {"download_cache_url": None},
    {"download_dir_url": "ftp://localhost/shadir"}, {"download_dir_url": "http://[/shadir"}])
def test_a_configuration_that_is_wrong_is_1(stack, node, changes):
    key = published(stack, b"there")
    node.change(**changes)
    assert_ended(node.run("download", "-k", key), MISUSE)


def test_a_configuration_that_is_not_there_is_1(node):
    assert_ended(node.run("download", "--config", "missing.cfg", "-k", "a", config=False), MISUSE, "missing.cfg")


def test_an_output_that_cannot_be_written_is_2(stack, node):
    key = published(stack, b"there")
    assert_ended(node.run("download", "-k", key, "-o", "missing/out"), FAILED, "missing/")
    # A reader that has gone, and a full disk.
    with open("/dev/full", "wb") as full:
        assert_ended(node.run("download", "-k", key, capture_output=False, stdout=full, stderr=-1), FAILED, "no space")


@pytest.mark.parametrize("status", [400, 401, 403, 410, 418, 301, 302])
def test_a_refusal_is_2_and_is_not_asked_again(deceived, impostor, status):
    impostor.answer = lambda handler: reply(handler, status, b"go away\n", {"Location": "/elsewhere"})
    assert_ended(deceived.run("download", "-k", "a"), FAILED, "go away")
    assert len(impostor.requests) == 1


def test_what_is_not_in_the_cache_is_3(stack, node):
    data = b"filtered out"
    key = published(stack, data, revision=1)
    for words in ["-k", new_key()], ["-k", key, "revision==2"], ["-k", key, "other==1"]:
        assert assert_ended(node.run("download", *words), MISSING).stdout == b""


def test_an_entry_whose_blob_is_not_there_and_a_key_whose_entries_have_gone_are_3(stack, node, deceived, impostor):
    key = new_key()
    stack.index(key, *pair(stack, "0" * 128))
    assert_ended(node.run("download", "-k", key), MISSING, "404")
    impostor.listings["gone"] = []
    assert_ended(deceived.run("download", "-k", "gone"), MISSING)


def test_what_nobody_trusted_signed_is_4(stack, node, tmp_path):
    data = os.urandom(20)
    digest, (_, stranger) = stack.upload(data), self_signed(tmp_path, "stranger")
    text = metadata_of(digest)
    for signature in "", sign(stack, text, stranger), sign(stack, text + " "), "AAAA":
        stack.index(key := new_key(), text, signature)
        assert assert_ended(node.run("download", "-k", key), UNTRUSTED).stdout == b""
    assert_ended(node.run("download", "-k", key, "-o", "out"), UNTRUSTED)
    assert not (node.directory / "out").exists()


def test_without_a_list_of_certificates_nothing_is_trusted(stack, node):
    node.change(signature_certificate_list=None)
    assert_ended(node.run("download", "-k", published(stack, b"there")), UNTRUSTED)


def test_a_cache_that_is_not_there_is_5(node):
    node.change(download_dir_url=f"http://127.0.0.1:{free_port()}/shadir")
    assert_ended(node.run("download", "-k", "a", "--retries", "0"), UNREACHABLE)
    node.change(download_dir_url="http://no-such-host.invalid/shadir")
    assert_ended(node.run("download", "-k", "a", "--retries", "0"), UNREACHABLE)


def test_a_server_whose_certificate_is_not_trusted_is_5(stack, node, tmp_path):
    other, _ = self_signed(tmp_path, "other")
    node.change(download_dir_url=stack.env["UPLOAD_SHADIR_URL"], shadir_ca_file=other)
    done = assert_ended(node.run("download", "-k", published(stack, b"there")), UNREACHABLE, "certificate")
    assert done.stdout == b""


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_5_and_an_answer_after_that_counts(stack, deceived, impostor, status):
    impostor.answer = lambda handler: reply(handler, status, b"busy")
    assert_ended(deceived.run("download", "-k", "a", "--retries", "0"), UNREACHABLE, "busy")
    assert len(impostor.requests) == 1
    troubles = [status]
    impostor.answer = lambda handler: reply(handler, troubles.pop(), headers={"Retry-After": "1"}) if troubles else None
    impostor.listings["a"] = [pair(stack, impostor.has(b"at last"))]
    assert assert_ended(deceived.run("download", "-k", "a", "--retries", "1"), DONE).stdout == b"at last"


@pytest.mark.parametrize("listing", [b"", b"<html>", b"{}", b'"a"', b"[", b"null"])
def test_a_directory_that_answers_no_list_is_5(deceived, impostor, listing):
    impostor.listings["a"] = listing
    assert_ended(deceived.run("download", "-k", "a"), UNREACHABLE)


# Which entry


def test_the_first_trusted_entry_is_taken(stack, node, tmp_path):
    _, stranger = self_signed(tmp_path, "stranger")
    key, (first, second, wrong) = new_key(), (stack.upload(os.urandom(20)) for _ in range(3))
    text = metadata_of(wrong)
    for entry in (
        [text, ""], [text, sign(stack, text, stranger)], [metadata_of(wrong, n=1), sign(stack, text)],
        pair(stack, first), pair(stack, second),
    ):
        stack.index(key, *entry)
    assert hashlib.sha512(node.run("download", "-k", key).stdout).hexdigest() == first


def test_any_certificate_of_the_list_counts_and_one_that_is_broken_is_a_warning(stack, node, tmp_path):
    certificate, key_file = self_signed(tmp_path, "second", "RSA:1024")
    good = Path(stack.env["SIGN_CERT"]).read_text()
    broken = "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n"
    node.change(signature_certificate_list=f"\n{broken}{good}{certificate.read_text()}")
    key = new_key()
    stack.index(key, *pair(stack, stack.upload(b"of the second"), key_file))
    assert_ended(done := node.run("download", "-k", key), DONE, "certificate 1 of 3")
    assert done.stdout == b"of the second"


def missing(impostor):
    return "0" * 128


def damaged(impostor):
    data = os.urandom(SIZE)
    digest = impostor.has(data)
    impostor.blobs[digest] = flipped(data)
    return digest


def short(impostor):
    data = os.urandom(SIZE)
    digest = impostor.has(data)
    impostor.blobs[digest] = data[:-1]
    return digest


def long(impostor):
    data = os.urandom(SIZE)
    digest = impostor.has(data)
    impostor.blobs[digest] = data + b"!"
    return digest


# Downloader.first
@pytest.mark.parametrize("output", [[], ["-o", "out"]])
@pytest.mark.parametrize("wrong", [missing, damaged, short, long])
def test_when_the_first_entrys_blob_cannot_be_had_the_next_ones_is(stack, deceived, impostor, wrong, output):
    impostor.listings["a"] = [pair(stack, wrong(impostor)), pair(stack, impostor.has(b"the next"))]
    done = assert_ended(deceived.run("download", "-k", "a", *output), DONE, "warning")
    got = (deceived.directory / "out").read_bytes() if output else done.stdout
    assert got == b"the next" and leftovers(deceived.directory) == []
    assert_ended(deceived.run("download", "-k", "a", "--strict", *output), FAILED, "--strict")


# Never a wrong byte


@pytest.mark.parametrize("output", [[], ["-o", "out"]])
@pytest.mark.parametrize("wrong", [damaged, short, long])
def test_bytes_that_are_not_those_of_the_entry_never_come_out(stack, deceived, impostor, wrong, output):
    impostor.listings["a"] = [pair(stack, wrong(impostor))]
    done = assert_ended(deceived.run("download", "-k", "a", *output), UNTRUSTED, "SHA-512")
    assert done.stdout == b"" and list(deceived.directory.iterdir()) == [deceived.config]


def test_a_blob_that_was_damaged_on_the_servers_disk_never_comes_out(stack, node):
    data = os.urandom(SIZE)
    key = published(stack, data)
    file = stack.blob_file(hashlib.sha512(data).hexdigest())
    file.chmod(0o640)
    file.write_bytes(flipped(data))
    assert assert_ended(node.run("download", "-k", key), UNTRUSTED).stdout == b""
    stack.upload(data)
    assert assert_ended(node.run("download", "-k", key), DONE).stdout == data


# Resuming


@pytest.mark.parametrize("cuts", [[5_000], [100_000, 300_000, 1_000], [SIZE - 1]])
def test_a_download_that_is_cut_goes_on_within_the_call(stack, node, cuts):
    data = os.urandom(SIZE)
    key = published(stack, data)
    with CuttingProxy(int(stack.settings["HTTP_PORT"]), cuts) as proxy:
        node.change(download_cache_url=f"http://127.0.0.1:{proxy.port}/shacache")
        assert_ended(node.run("download", "-k", key, "-o", "out"), DONE)
        asked = ranges(proxy)
    assert (node.directory / "out").read_bytes() == data
    assert asked[0] is None and all(asked[1:]) and len(asked) == len(cuts) + 1, asked


def test_standard_output_gets_each_byte_once_when_a_download_is_cut(stack, node):
    data = os.urandom(SIZE)
    key = published(stack, data)
    with CuttingProxy(int(stack.settings["HTTP_PORT"]), [500_000]) as proxy:
        node.change(download_cache_url=f"http://127.0.0.1:{proxy.port}/shacache")
        assert assert_ended(node.run("download", "-k", key), DONE).stdout == data


def test_a_later_call_goes_on_where_a_cut_one_ended(stack, node):
    data = os.urandom(SIZE)
    key, out = published(stack, data), node.directory / "out"
    with CuttingProxy(int(stack.settings["HTTP_PORT"]), [600_000]) as proxy:
        node.change(download_cache_url=f"http://127.0.0.1:{proxy.port}/shacache")
        assert_ended(node.run("download", "-k", key, "-o", "out", "--retries", "0"), UNREACHABLE)
        (part,) = leftovers(node.directory)
        size = part.stat().st_size
        assert not out.exists() and 500_000 < size < 600_000
        assert_ended(node.run("download", "-k", key, "-o", "out", "--retries", "0"), DONE)
        assert ranges(proxy) == [None, b"bytes=%d-" % size]
    assert out.read_bytes() == data and leftovers(node.directory) == []


class Slow:
    """Sends the first half of a blob, and the rest when it is told to."""

    def __init__(self, data):
        self.data = data
        self.rest = threading.Event()

    def __call__(self, handler):
        if handler.command != "GET" or not handler.path.startswith("/shacache/") or handler.headers.get("Range"):
            return None
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(self.data)))
        handler.end_headers()
        handler.wfile.write(self.data[:len(self.data) // 2])
        self.rest.wait(30)
        handler.wfile.write(self.data[len(self.data) // 2:])
        return True


@pytest.fixture
def slow(stack, impostor):
    """The impostor, with a blob under the key `a` that comes slowly."""
    impostor.answer = slow = Slow(os.urandom(SIZE))
    impostor.listings["a"] = [pair(stack, impostor.has(slow.data))]
    yield slow
    slow.rest.set()


def half_there(directory):
    """The hidden file, when it has the first half."""
    return next((path for path in leftovers(directory) if path.stat().st_size == SIZE // 2), None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_client_that_is_killed_leaves_nothing_under_the_name_and_the_next_call_goes_on(deceived, impostor, slow, number):
    with deceived.start("download", "-k", "a", "-o", "out") as client:
        eventually(lambda: half_there(deceived.directory))
        client.send_signal(number)
    assert client.returncode == -number and not (deceived.directory / "out").exists()
    assert_ended(deceived.run("download", "-k", "a", "-o", "out"), DONE)
    assert impostor.requests[-1][2] == f"bytes={SIZE // 2}-"
    assert (deceived.directory / "out").read_bytes() == slow.data and leftovers(deceived.directory) == []


def sizes_of_open_files(pid, directory):
    """Of those below a directory; some may be closed while we look."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(link).startswith(str(directory)):
                yield os.stat(link).st_size
        except FileNotFoundError:
            continue


def test_a_client_that_is_killed_has_written_nothing_to_standard_output(deceived, slow, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with deceived.start("download", "-k", "a", env={"TMPDIR": str(temporary)}) as client:
        eventually(lambda: SIZE // 2 in sizes_of_open_files(client.pid, temporary))
        client.kill()
        assert client.stdout.read() == b""
    assert list(temporary.iterdir()) == []


# PartialDownload.init: flock.
def test_two_calls_for_one_file_at_once_both_end_well(deceived, slow):
    with deceived.start("download", "-k", "a", "-o", "out") as first:
        eventually(lambda: half_there(deceived.directory))
        with deceived.start("download", "-k", "a", "-o", "out") as second:
            # The second one's file has no name.
            eventually(lambda: list(sizes_of_open_files(second.pid, deceived.directory)))
            slow.rest.set()
    assert (first.returncode, second.returncode) == (0, 0)
    assert (deceived.directory / "out").read_bytes() == slow.data and leftovers(deceived.directory) == []


def ignores_range(data):
    def answer(handler):
        return reply(handler, 200, data) if handler.path.startswith("/shacache/") else None
    return answer


def other_range(data):
    """Sends other bytes than those it was asked for, once."""
    times = []

    def answer(handler):
        if not handler.headers.get("Range") or times:
            return None
        times.append(1)
        return reply(handler, 206, data[7:], {"Content-Range": f"bytes 7-{len(data) - 1}/{len(data)}"})
    return answer


def refuses_range(data):
    return lambda handler: reply(handler, 416) if handler.headers.get("Range") else None


@pytest.mark.parametrize("server", [ignores_range, other_range, refuses_range])
def test_a_server_that_resumes_wrongly_costs_time_and_no_byte(deceived, impostor, slow, server):
    with deceived.start("download", "-k", "a", "-o", "out") as client:
        eventually(lambda: half_there(deceived.directory))
        client.kill()
    impostor.answer = server(slow.data)
    assert_ended(deceived.run("download", "-k", "a", "-o", "out"), DONE)
    assert (deceived.directory / "out").read_bytes() == slow.data and leftovers(deceived.directory) == []
    assert impostor.asked("GET", "/shacache/")[-2:][0][2] == f"bytes={SIZE // 2}-" or server is ignores_range


@pytest.mark.parametrize("rest", [lambda data: flipped(data[:SIZE // 2], 0), lambda data: data + b"!", lambda data: data])
def test_what_an_earlier_call_left_is_verified_too(deceived, impostor, slow, rest):
    with deceived.start("download", "-k", "a", "-o", "out") as client:
        part = eventually(lambda: half_there(deceived.directory))
        client.kill()
    part.write_bytes(rest(slow.data))
    impostor.answer = None
    assert_ended(deceived.run("download", "-k", "a", "-o", "out"), DONE)
    assert (deceived.directory / "out").read_bytes() == slow.data and leftovers(deceived.directory) == []


# The origin


ORIGIN = b"from the origin"


@pytest.fixture
def origin():
    with Impostor(lambda handler: reply(handler, 200, ORIGIN) if handler.path.startswith("/a.tar") else None) as origin:
        yield origin


def unknown(stack, node):
    return new_key()


def untrusted(stack, node):
    stack.index(key := new_key(), metadata_of(stack.upload(os.urandom(9))))
    return key


def dangling(stack, node):
    stack.index(key := new_key(), *pair(stack, "0" * 128))
    return key


def away(stack, node):
    node.change(download_dir_url=f"http://127.0.0.1:{free_port()}/shadir")
    return new_key()


def unconfigured(stack, node):
    node.change(download_dir_url=None)
    return new_key()


@pytest.mark.parametrize("output", [[], ["-o", "out"]])
@pytest.mark.parametrize("situation", [unknown, untrusted, dangling, away, unconfigured])
def test_the_origin_helps_when_the_cache_does_not(stack, node, origin, situation, output):
    key = situation(stack, node)
    words = ["download", "-k", key, "--origin", f"{origin.url}/a.tar", "--retries", "0", *output]
    done = assert_ended(node.run(*words), DONE, "from the origin")
    assert ((node.directory / "out").read_bytes() if output else done.stdout) == ORIGIN
    assert (b"warning" in done.stderr) == (situation not in (unknown, dangling))
    assert leftovers(node.directory) == []


def test_the_origin_is_not_asked_when_the_cache_has_it(stack, node, origin):
    key = published(stack, b"from the cache")
    assert node.run("download", "-k", key, "--origin", f"{origin.url}/a.tar").stdout == b"from the cache"
    assert origin.requests == []


def test_an_origin_that_fails_is_2_and_nothing_appears(node, origin):
    words = ["download", "-k", new_key(), "--origin", f"{origin.url}/missing", "-o", "out"]
    assert_ended(node.run(*words), FAILED, "404")
    origin.answer = lambda handler: reply(handler, 200, b"short", length=100)
    assert_ended(node.run(*words), FAILED)
    assert list(node.directory.iterdir()) == [node.config]


def test_an_origins_redirects_are_followed(node, origin):
    origin.answer = lambda handler: reply(
        handler, *((302, b"", {"Location": "/b"}) if handler.path == "/a" else (200, ORIGIN)))
    assert node.run("download", "-k", new_key(), "--origin", f"{origin.url}/a").stdout == ORIGIN


@pytest.mark.parametrize("situation", [unknown, untrusted, dangling])
def test_what_came_from_the_origin_is_put_into_the_cache_for_everybody(stack, node, origin, situation):
    key, url = situation(stack, node), f"{origin.url}/a.tar.gz"
    words = ["download", "-k", key, "--origin", url, "--upload-on-miss", "--meta", "commit=1f3c", "-o", "out"]
    assert_ended(node.run(*words), DONE)
    assert (node.directory / "out").read_bytes() == ORIGIN
    (found,) = [found for found in client_of(stack).select(key) if "commit" in found]
    assert found == {"sha512": hashlib.sha512(ORIGIN).hexdigest(), "commit": "1f3c"}
    origin.requests.clear()
    assert node.run("download", "-k", key).stdout == ORIGIN
    assert origin.requests == []


def test_by_its_url_it_is_listed_as_the_deployed_clients_do(stack, node, origin):
    url = f"{origin.url}/a.tar.gz?{new_key()}"
    assert_ended(node.run("download", "--url", url, "--origin", url, "--upload-on-miss"), DONE)
    (found,) = client_of(stack).select(f"file-urlmd5:{hashlib.md5(url.encode()).hexdigest()}")
    assert found == {"sha512": hashlib.sha512(ORIGIN).hexdigest(), "url": url}


def test_an_upload_on_miss_that_fails_is_a_warning(closed, tmp_path, origin):
    node = Node.of(closed, tmp_path / "node", shacache_cert_file=None, shacache_key_file=None)
    words = ["download", "-k", new_key(), "--origin", f"{origin.url}/a.tar", "--upload-on-miss"]
    assert assert_ended(node.run(*words), DONE, "not put into the cache").stdout == ORIGIN
    assert_ended(node.run(*words, "--strict"), FAILED)


# Poison: one entry with which the deployed clients lose the whole key


def poison_base64(text):
    return json.dumps([text, "A"]).encode()


def poison_surrogate(text):
    return json.dumps([text.replace("}", ', "a": "\ud800"}'), "AAAA"]).replace("\\\\ud800", "\\ud800").encode()


def poison_three(text):
    return json.dumps([text, "AAAA", ""]).encode()


def poison_utf8(text):
    return b'["' + b"\xff\xfe" + b'", "AAAA"]'


def poison_number(text):
    return b'[1, "AAAA"]'


def poison_null(text):
    return b"null"


def poison_metadata(text):
    return json.dumps([text, 5]).encode()


POISONS = [poison_base64, poison_surrogate, poison_three, poison_utf8, poison_number, poison_null, poison_metadata]


# Listing.init judges each pair by itself.
@pytest.mark.parametrize("poison", POISONS)
def test_a_poisoned_entry_hides_no_good_one(stack, deceived, impostor, poison):
    good = json.dumps(pair(stack, impostor.has(b"the good one"))).encode()
    bad = poison(metadata_of())
    real = client_of(stack, **{name: impostor.options[name] for name in ("download-cache-url", "download-dir-url")})
    impostor.listings["a"] = b"[" + good + b"]"
    assert len(list(real.select("a"))) == 1
    impostor.listings["a"] = b"[" + bad + b", " + good + b"]"
    # Why it is called poison.
    with pytest.raises((NetworkcacheException, ValueError, TypeError, AttributeError)):
        list(real.select("a"))
    done = assert_ended(deceived.run("download", "-k", "a"), DONE, "entry 1 can't be read")
    assert done.stdout == b"the good one"
    impostor.listings["a"] = b"[" + good + b"," + bad + b"]"
    assert deceived.run("download", "-k", "a").stdout == b"the good one"
    impostor.listings["a"] = b"[" + bad + b"]"
    assert_ended(deceived.run("download", "-k", "a"), UNTRUSTED)
