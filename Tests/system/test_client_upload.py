"""`shacache upload`: only what the cache lacks is sent, and what is listed is what the deployed client would list."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
import threading
import time

import pytest
from certificates import self_signed
from deployed import client_of, new_key
from impostor import Impostor, read, reply
from node import DONE, FAILED, MISUSE, UNREACHABLE, Node, assert_ended
from slapos.libnetworkcache import NetworkcacheClient
from stack import eventually, free_port

SHA512 = hashlib.sha512
LARGE = 40_000_000  # bytes: sent and hashed at once from 32 MiB on


def make(node, name="file", size=100_000):
    """A file with a size, or with these bytes; returns those."""
    data = size if isinstance(size, bytes) else os.urandom(size)
    (node.directory / name).write_bytes(data)
    return data


def name_of(data):
    return SHA512(data).hexdigest()


def stored(stack, digest):
    status, _, body = stack.request("GET", f"/shacache/{digest}")
    return body if status == 200 else None


@pytest.fixture
def log(stack):
    """Gives the methods of what nginx has answered to the client since it was asked last."""
    stack.wait_for_access_log()
    file = stack.state / "log/access.log"
    start = file.stat().st_size

    def methods():
        nonlocal start
        stack.wait_for_access_log()
        with open(file, "rb") as opened:
            opened.seek(start)
            lines = opened.read().splitlines()
            start = opened.tell()
        return [line["method"] for line in map(json.loads, lines) if line["agent"] == "shacache"]

    return methods


# What can be uploaded


@pytest.mark.parametrize("size", [0, 1, 100_000, LARGE])
def test_a_file_goes_in_and_its_name_comes_out(stack, node, size):
    data = make(node, size=size)
    done = assert_ended(node.run("upload", "file"), DONE)
    assert done.stdout == name_of(data).encode() + b"\n"
    assert stored(stack, name_of(data)) == data


def test_a_directory_goes_in_as_a_tar_gz_of_it(stack, node):
    make(node, "plain")
    (node.directory / "tree/below").mkdir(parents=True)
    (node.directory / "tree/below/file").write_text("text")
    (node.directory / "tree/link").symlink_to("below/file")
    for name in "tree", "tree/", node.directory / "tree":
        done = assert_ended(node.run("upload", "-k", key := new_key(), name), DONE)
        archive = stored(stack, done.stdout.decode().strip())
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            assert sorted(tar.getnames()) == ["tree", "tree/below", "tree/below/file", "tree/link"]
        out = node.directory / f"out-{key}"
        out.mkdir()
        NetworkcacheClient.extract(str(out / "tree"), io.BytesIO(archive))
        assert (out / "tree/link").read_text() == "text"
    # The same tree makes the same bytes.
    assert node.run("upload", "tree").stdout == done.stdout


def test_what_a_url_has_goes_in(stack, node):
    with Impostor() as origin:
        data = os.urandom(300_000)
        url = f"{origin.url}/shacache/{origin.has(data)}"
        done = assert_ended(node.run("upload", url), DONE)
        assert done.stdout.decode().strip() == name_of(data) and stored(stack, name_of(data)) == data
        assert_ended(node.run("upload", f"{origin.url}/shacache/missing"), FAILED, "404")
        origin.answer = lambda handler: reply(handler, 200, b"cut", length=100)
        assert_ended(node.run("upload", url), FAILED)
    assert stored(stack, name_of(b"cut")) is None
    (node.directory / "a b").write_bytes(data := os.urandom(9))
    assert_ended(node.run("upload", f"file://{node.directory}/a%20b"), DONE)
    assert stored(stack, name_of(data)) == data


def test_a_failed_upload_ends_in_order_whatever_its_threads_still_do(node):
    # Fails, two times in a hundred, where Main ends with exit(): its handlers free what a thread still uses.
    with Impostor() as origin:
        for _ in range(150):
            assert_ended(node.run("upload", f"{origin.url}/shacache/missing"), FAILED, "404")


@pytest.mark.parametrize("size", [0, 100_000, LARGE])
@pytest.mark.parametrize("source", ["/dev/stdin", "fifo"])
def test_a_pipe_goes_in(stack, node, source, size):
    data = os.urandom(size)
    if source == "fifo":
        os.mkfifo(node.directory / "fifo")
        writer = threading.Thread(target=lambda: (node.directory / "fifo").write_bytes(data))
        writer.start()
        done = node.run("upload", "fifo")
        writer.join()
    else:
        done = node.run("upload", source, input=data)
    assert assert_ended(done, DONE).stdout == name_of(data).encode() + b"\n"
    assert stored(stack, name_of(data)) == data


def test_a_pipe_that_comes_slowly_is_awaited(stack, node):
    with node.start("upload", "/dev/stdin", stdin=subprocess.PIPE) as client:
        for piece in b"one", b"two":
            client.stdin.write(piece)
            client.stdin.flush()
            time.sleep(0.3)
        client.stdin.close()
        client.stdin = None
        output, _ = client.communicate(timeout=20)
    assert output.decode().strip() == name_of(b"onetwo") and stored(stack, name_of(b"onetwo")) == b"onetwo"


def test_temporary_files_lie_in_tmpdir_and_do_not_stay(node, tmp_path):
    (tmp_path / "temporary").mkdir()
    (node.directory / "tree").mkdir()
    assert_ended(node.run("upload", "tree", env={"TMPDIR": str(tmp_path / "temporary")}), DONE)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert_ended(node.run("upload", "tree", env={"TMPDIR": str(tmp_path / "missing")}), FAILED, "missing")


# The entry


def entry(stack, key):
    """The only one, its metadata as text."""
    ((metadata, _),) = stack.entries(key)
    return metadata


METADATA = '{"n": 1.50, "big": 12345678901234567890, "e": 1E5, "list": [1, "two", null, true], "\\u00e9": "é\\n", "sub": {"a": {}}}'


@pytest.mark.parametrize("words, python", [
    (["--meta", "a=b"], {"a": "b"}),
    (["--meta", "b=2", "--meta", "a=b=c", "--meta", "e=", "--meta", "b=3"], {"b": "3", "a": "b=c", "e": ""}),
    (["--meta", "é=😀"], {"é": "😀"}),
    (["--meta", "q=\"\\\x01\x7f/"], {"q": "\"\\\x01\x7f/"}),
    (["--metadata", "file.json"], json.loads(METADATA)),
    (["--metadata", "file.json", "--meta", "n=x", "--meta", "new=y"], {**json.loads(METADATA), "n": "x", "new": "y"}),
])
def test_an_entry_is_the_deployed_clients_byte_for_byte(stack, node, words, python):
    (node.directory / "file.json").write_text(METADATA)
    data, ours, theirs = make(node), new_key(), new_key()
    assert_ended(node.run("upload", "-k", ours, *words, "file"), DONE, f"listed under {ours}")
    client_of(stack).upload(io.BytesIO(data), theirs, **python)
    # The signature too, since this kind always comes out the same.
    assert stack.entries(ours) == stack.entries(theirs)


def test_by_url_the_key_and_the_metadata_are_the_deployed_clients(stack, node):
    with Impostor() as origin:
        data = os.urandom(1000)
        url = f"{origin.url}/shacache/{origin.has(data)}?{new_key()}"
        origin.answer = lambda handler: reply(handler, 200, data) if handler.command == "GET" else None
        key = f"file-urlmd5:{hashlib.md5(url.encode()).hexdigest()}"
        assert_ended(node.run("upload", "--url", url), DONE)
        assert entry(stack, key) == json.dumps({"sha512": name_of(data), "url": url})
        assert len(origin.requests) == 1
        # A file stands for what is there.
        other = make(node)
        assert_ended(node.run("upload", "--url", url, "file", "--meta", "why=mended"), DONE)
        assert [json.loads(metadata) for metadata, _ in stack.entries(key)][1] == {
            "sha512": name_of(other), "why": "mended", "url": url}
        assert len(origin.requests) == 1
    assert {found["sha512"] for found in client_of(stack).select(key)} == {name_of(data), name_of(other)}


def test_distributions_of_a_python_package_share_a_key(stack, node):
    package = f"n{os.urandom(4).hex()}"
    names = [f"{package}-1.0.tar.gz", f"{package}-1.0-py3-none-any.whl"]
    files = [make(node, name) for name in names]
    assert_ended(node.run("upload", "--pypi", f"{package}==1.0", *names), DONE, "2 of 2")
    found = {json.loads(metadata)["basename"]: json.loads(metadata)["sha512"] for metadata, _ in stack.entries(f"pypi:{package}=1.0")}
    assert found == {name: name_of(data) for name, data in zip(names, files)}


def test_without_a_key_only_the_blob_goes_in(node, log):
    make(node)
    assert_ended(node.run("upload", "file"), DONE)
    assert set(log()) == {"HEAD", "POST"}


def test_who_signs_nothing_is_warned_and_strict_fails(stack, node):
    make(node)
    node.change(signature_private_key_file=None)
    assert_ended(node.run("upload", "-k", key := new_key(), "file"), DONE, "unsigned")
    assert stack.entries(key)[0][1] == ""
    assert_ended(node.run("upload", "-k", new_key(), "file", "--strict"), FAILED, "--strict")
    # A blob alone is nothing to sign.
    assert_ended(node.run("upload", "file", "--strict"), DONE)


def test_whose_key_is_not_in_the_list_is_warned(stack, node, tmp_path):
    make(node)
    certificate, key_file = self_signed(tmp_path, "mine")
    node.change(signature_private_key_file=key_file)
    key = new_key()
    # Uploader.index: the second call finds the entry listed.
    for _ in range(2):
        assert_ended(node.run("upload", "-k", key, "file"), DONE, "isn't in signature-certificate-list")
    assert_ended(node.run("upload", "-k", key, "file", "--strict"), FAILED, "isn't in signature-certificate-list")
    node.change(signature_certificate_list=certificate.read_text())
    assert b"warning" not in assert_ended(node.run("upload", "-k", new_key(), "file"), DONE).stderr
    node.change(signature_private_key_file=tmp_path / "missing")
    assert_ended(node.run("upload", "-k", new_key(), "file"), MISUSE, "signature-private-key-file")


# Only what is lacking


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_second_call_sends_nothing(stack, node, log, size):
    make(node, size=size)
    words = ["upload", "-k", key := new_key(), "--meta", "a=b", "file"]
    assert_ended(node.run(*words), DONE, ": sent, ")
    assert {"POST", "PUT"} <= set(log())
    done = assert_ended(node.run(*words), DONE)
    assert b"was listed under" in done.stderr and (size == LARGE or b": was there, " in done.stderr)
    second = log()
    # A large one is sent while it is hashed, and on a line as fast as this one may be through before that.
    assert "PUT" not in second and (size == LARGE or "POST" not in second), second
    assert len(stack.entries(key)) == 1


def test_what_is_there_is_listed_without_being_sent(stack, node, log):
    data = make(node)
    stack.upload(data)
    assert_ended(node.run("upload", "-k", new_key(), "file"), DONE, ": was there, ")
    assert [method for method in log() if method in ("POST", "PUT")] == ["PUT"]


# Uploader.sendAndSearch: what a slow line would carry for nothing.
def test_a_large_file_that_is_there_is_not_sent_to_its_end(deceived, impostor):
    data = make(deceived, size=LARGE)
    impostor.has(data)
    taken = []

    def slowly(handler):
        if handler.command != "POST":
            return None
        while piece := handler.rfile.read1(65536):
            taken.append(len(piece))
            time.sleep(0.01)
        handler.close_connection = True
        return True

    impostor.answer = slowly
    assert_ended(deceived.run("upload", "file"), DONE, ": was there, ")
    assert sum(taken) < LARGE // 2


def test_a_server_that_knows_no_head_is_asked_as_the_deployed_client_asks(deceived, impostor):
    data = make(deceived)
    impostor.has(data)
    impostor.answer = lambda handler: reply(handler, 405) if handler.command == "HEAD" else None
    assert_ended(deceived.run("upload", "file"), DONE, ": was there, ")
    assert impostor.asked("POST") == []


def test_a_server_that_takes_no_chunks_gets_the_whole_with_its_size(deceived, impostor):
    lengths = []

    def answer(handler):
        if handler.command == "POST":
            lengths.append(handler.headers.get("Content-Length"))
            if handler.headers.get("Transfer-Encoding"):
                read(handler)
                return reply(handler, 411)

    impostor.answer = answer
    data = os.urandom(1000)
    assert assert_ended(deceived.run("upload", "/dev/stdin", input=data), DONE).stdout.decode().strip() in impostor.blobs
    assert lengths[-1] == "1000"


# Several


def test_one_that_fails_does_not_stop_the_others(stack, node):
    files = {name: make(node, name) for name in "abcdef"}
    names = ["a", "b", "missing", "c", "d", "e", "f"]
    done = node.run("upload", "-k", key := new_key(), "--jobs", "3", *names)
    assert_ended(done, FAILED, "missing")
    assert b"6 of 7 are in the cache" in done.stderr
    # In the order in which they were named, whichever was first.
    assert done.stdout.decode().splitlines() == [f"{name_of(files[name])}  {name}" for name in "abcdef"]
    assert [json.loads(metadata)["sha512"] for metadata, _ in stack.entries(key)] == [name_of(files[name]) for name in "abcdef"]
    report = node.json("upload", *names, status=FAILED)
    assert [row["source"] for row in report] == names
    assert [row.get("blob") for row in report] == ["was there", "was there", None, *["was there"] * 4]
    assert "missing" in report[2]["error"]


def test_as_many_as_jobs_are_sent_at_once(deceived, impostor):
    at_once, most = [], []
    lock = threading.Lock()

    def answer(handler):
        if handler.command == "POST":
            with lock:
                at_once.append(1)
                most.append(len(at_once))
            read(handler)
            time.sleep(0.2)
            with lock:
                at_once.pop()
            return reply(handler, 201, b"0" * 128)

    impostor.answer = answer
    for name in "abcdef":
        make(deceived, name)
    assert deceived.run("upload", "--jobs", "3", *"abcdef").returncode != 0
    assert max(most) == 3
    most.clear()
    assert deceived.run("upload", "--jobs", "1", *"abc").returncode != 0
    assert max(most) == 1


# Failures


@pytest.mark.parametrize("words", [
    [], ["--meta", "a=b", "file"], ["-k", "a", "-u", "b", "file"], ["-u", "b", "file", "file"], ["-k", "a", "--meta", "a", "file"],
    ["-k", "a", "--metadata", "list.json", "file"], ["-k", "a", "--metadata", "bad.json", "file"], ["-j", "0", "file"],
    ["--pypi", "x", "file"], ["-k", "\n", "file"], ["", "-k", "a"], ["file", ""],
    ["-k", "a", "--metadata", "", "file"]])
def test_wrong_arguments_are_1_and_ask_nobody(deceived, impostor, words):
    make(deceived)
    (deceived.directory / "list.json").write_text("[]")
    (deceived.directory / "bad.json").write_text("{")
    done = assert_ended(deceived.run("upload", *words), MISUSE)
    assert (b"the name of the file is empty" in done.stderr) == ("" in words)
    assert impostor.requests == []


def test_where_to_upload_must_be_configured(node):
    make(node)
    node.change(upload_cache_url=None)
    assert_ended(node.run("upload", "file"), MISUSE, "upload-cache-url")
    node.change(upload_cache_url="http://localhost", upload_dir_url=None)
    assert_ended(node.run("upload", "-k", "a", "file"), MISUSE, "upload-dir-url")


def test_without_a_certificate_it_is_refused(closed, tmp_path):
    node = Node.of(closed, tmp_path / "node")
    nothing = dict.fromkeys(f"sha{where}_{what}_file" for where in ("cache", "dir") for what in ("cert", "key"))
    node.change(**nothing)
    data = make(node)
    assert_ended(node.run("upload", "-k", "a", "file"), FAILED, "403")
    assert stored(closed, name_of(data)) is None
    # Nor over plain HTTP.
    node.change(upload_cache_url=closed.env["SHACACHE_URL"])
    assert_ended(node.run("upload", "file"), FAILED, "403")


def test_a_refusal_ends_the_sending_at_once(closed, tmp_path):
    node = Node.of(closed, tmp_path / "node", shacache_cert_file=None, shacache_key_file=None)
    # Never comes to an end.
    with node.start("upload", "/dev/zero", "--retries", "0") as client:
        _, error = client.communicate(timeout=20)
    assert client.returncode == FAILED and b"403" in error, error


def test_a_server_that_refuses_while_it_receives_is_heard(deceived, impostor):
    def refuse(handler):
        if handler.command != "POST":
            return None
        handler.rfile.read(1_000_000)
        reply(handler, 413, b"too large for us\n", {"Connection": "close"})
        handler.wfile.flush()
        # As nginx does: reads on for a while, so that the answer isn't lost.
        handler.connection.settimeout(1)
        try:
            while handler.rfile.read1(1 << 20):
                pass
        except OSError:
            pass
        handler.close_connection = True
        return True

    make(deceived, size=LARGE)
    impostor.answer = refuse
    assert_ended(deceived.run("upload", "file"), FAILED, "too large for us")
    assert len(impostor.asked("POST")) == 1


def test_a_busy_server_is_asked_again_when_it_says(deceived, impostor):
    times, busy = [], [503, 429, 500]

    def answer(handler):
        if handler.command == "POST" and busy:
            times.append(time.monotonic())
            read(handler)
            return reply(handler, busy.pop(), b"busy", {"Retry-After": "1"})

    impostor.answer = answer
    data = make(deceived)
    done = assert_ended(deceived.run("upload", "-v", "file"), DONE, "tries again in 1 s")
    # Each time from the file's beginning.
    assert impostor.blobs == {name_of(data): data} and len(times) == 3 and times[1] - times[0] >= 1
    busy += [503] * 2
    assert_ended(deceived.run("upload", "--retries", "1", "-k", "a", "file"), DONE)
    make(deceived, "other")
    assert_ended(deceived.run("upload", "--retries", "1", "other"), UNREACHABLE, "503 busy")


def test_without_retry_after_the_pauses_grow(deceived, impostor):
    times = []

    def answer(handler):
        if handler.command == "POST":
            times.append(time.monotonic())
            read(handler)
            return reply(handler, 503)

    impostor.answer = answer
    make(deceived)
    assert_ended(deceived.run("upload", "--retries", "2", "file"), UNREACHABLE)
    first, second = (later - sooner for sooner, later in zip(times, times[1:]))
    # RetryTests has the pauses to the second; here they are waited for.
    assert len(times) == 3 and first > 0.9 and second > 1.9


def test_a_cache_that_is_not_there_is_5(node):
    make(node)
    node.change(upload_cache_url=f"http://127.0.0.1:{free_port()}", download_cache_url=None)
    assert_ended(node.run("upload", "--retries", "0", "file"), UNREACHABLE)


@pytest.mark.parametrize("name", [b"", b"0" * 128, b"no name"])
def test_a_server_that_stores_something_else_is_no_success(deceived, impostor, name):
    make(deceived)
    impostor.answer = lambda handler: read(handler) is not None and reply(handler, 201, name) if handler.command == "POST" else None
    assert_ended(deceived.run("upload", "-k", "a", "file"), FAILED if len(name) == 128 else UNREACHABLE)
    assert impostor.asked("PUT") == []


def test_what_the_server_accepted_and_does_not_have_is_no_success(deceived, impostor):
    data = make(deceived)
    impostor.answer = lambda handler: (
        read(handler) is not None and reply(handler, 201, name_of(data).encode() if handler.command == "POST" else b"")
        if handler.command in ("POST", "PUT") else None)
    assert_ended(deceived.run("upload", "file"), FAILED, "not there")
    impostor.has(data)
    assert_ended(deceived.run("upload", "-k", "a", "file"), FAILED, "isn't listed")


def test_a_file_that_changes_while_it_is_sent_is_no_success(deceived, impostor):
    def answer(handler):
        if handler.command == "POST":
            # The cache is asked for the file's name: all of it is hashed.
            eventually(lambda: impostor.asked("HEAD", "/shacache/"))
            with open(deceived.directory / "file", "r+b") as file:
                file.seek(LARGE - 10)
                file.write(b"0123456789")

    make(deceived, size=LARGE)
    impostor.answer = answer
    assert_ended(deceived.run("upload", "-k", "a", "file"), FAILED, "the file changed")
    assert impostor.asked("PUT") == []
