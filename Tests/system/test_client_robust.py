"""What servers, files and other programs may do to the client, and it still says and does the right thing."""

import json
import os
import socket
import subprocess
import threading
import time
from email.utils import formatdate

import pytest
from deployed import metadata_of, new_key, sign
from impostor import read, reply
from node import CLEAN, DONE, FAILED, MISSING, MISUSE, SHACACHE, UNREACHABLE, assert_ended
from stack import eventually, free_port


def list_signed(impostor, stack, key, *blobs, **more):
    """Entries that the node trusts, in a cache that is none."""
    texts = [metadata_of(blob, **more) for blob in blobs]
    impostor.listings[key] = [[text, sign(stack, text)] for text in texts]


# Downloads


# PartFile.claim compares the file that it opened with the one that has the name.
def test_a_file_that_another_call_delivered_is_not_written_into(deceived, impostor, stack):
    data = os.urandom(100_000)
    list_signed(impostor, stack, "a", impostor.has(data))
    first = threading.Event()

    def answer(handler):
        if handler.command == "GET" and handler.path.startswith("/shacache/") and not first.is_set():
            first.set()
            time.sleep(1)

    impostor.answer = answer
    slow = deceived.start("download", "-k", "a", "-o", "out")
    first.wait(20)
    assert_ended(deceived.run("download", "-k", "a", "-o", "out"), DONE)
    assert slow.wait(20) == DONE
    assert (deceived.directory / "out").read_bytes() == data
    assert [name for name in os.listdir(deceived.directory) if name.endswith(".part")] == []


@pytest.mark.parametrize("plant", ["a link", "a hard link"])
def test_what_somebody_put_in_the_way_is_not_written_into(deceived, impostor, stack, plant):
    name = impostor.has(os.urandom(1000))
    list_signed(impostor, stack, "a", name)
    victim, part = deceived.directory / "victim", deceived.directory / f".out.{name[:16]}.part"
    victim.write_text("precious")
    part.symlink_to(victim) if plant == "a link" else part.hardlink_to(victim)
    assert_ended(deceived.run("download", "-k", "a", "-o", "out"), DONE)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("start", [9223372036854775807, 5])
def test_a_part_that_nobody_asked_for_is_refused(deceived, impostor, stack, start):
    name = impostor.has(b"0123456789")
    list_signed(impostor, stack, "a", name)
    impostor.answer = lambda handler: handler.path.endswith(name) and reply(
        handler, 206, b"0123456789", {"Content-Range": f"bytes {start}-{start + 9}/{start + 10}"})
    done = assert_ended(deceived.run("download", "-k", "a", "-o", "out", "--retries", "0"), UNREACHABLE, "wasn't asked for")
    assert done.returncode >= 0 and not (deceived.directory / "out").exists()


def test_a_blob_is_fetched_by_its_name_alone(stack, node):
    data = os.urandom(1000)
    name = stack.upload(data)
    assert node.run("download", "--sha512", name).stdout == data
    assert_ended(node.run("download", "--sha512", "0" * 128), MISSING)
    assert_ended(node.run("download", "--sha512", "abc"), MISUSE)


def test_a_cache_that_is_gone_costs_its_patience_once(deceived, impostor, stack):
    list_signed(impostor, stack, "a", *(f"{number:0128x}" for number in range(8)))
    deceived.change(download_cache_url=f"http://127.0.0.1:{free_port()}/shacache")
    start = time.monotonic()
    assert_ended(deceived.run("download", "-k", "a", "--retries", "1"), UNREACHABLE)
    assert time.monotonic() - start < 4


@pytest.mark.parametrize("pause", ["a date", "too long"])
def test_a_retry_after_may_be_a_date_and_has_a_limit(deceived, impostor, stack, pause):
    asked = []

    def answer(handler):
        asked.append(time.monotonic())
        if len(asked) == 1:
            after = formatdate(time.time() + 3, usegmt=True) if pause == "a date" else "3600"
            return reply(handler, 503, headers={"Retry-After": after})

    name = impostor.has(b"data")
    list_signed(impostor, stack, "a", name)
    impostor.answer = answer
    done = deceived.run("download", "-k", "a", "-o", "out")
    if pause == "a date":
        assert done.returncode == DONE and asked[1] - asked[0] >= 1.5
    else:
        assert done.returncode == UNREACHABLE and len(asked) == 1


# Lookups


def test_a_lookup_shows_entries_whose_blobs_nobody_can_tell_of(deceived, impostor, stack):
    list_signed(impostor, stack, "a", "0" * 128)
    deceived.change(download_cache_url=f"http://127.0.0.1:{free_port()}/shacache")
    done = deceived.run("lookup", "-k", "a", "--retries", "0", text=True)
    assert done.returncode == UNREACHABLE and "unknown" in done.stdout and "demo" in done.stdout
    assert done.stderr.count("not all blobs could be asked for") == 1


def test_what_turns_a_line_around_is_not_shown(stack, node):
    key = new_key()
    stack.index(key, metadata_of(name="a\u202egnp.exe"))
    assert "\u202e" not in node.run("lookup", "-k", key, text=True).stdout


# Uploads


# Transfer.isAnswered: 100 Continue is no answer.
def test_an_interim_answer_does_not_shorten_the_wait(tmp_path, deceived, impostor):
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            connection, _ = server.accept()
            with connection:
                received = b""
                while b"\r\n\r\n" not in received:
                    received += connection.recv(65536)
                assert b"Expect: 100-continue" in received
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                while connection.recv(65536):
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        (deceived.directory / "file").write_bytes(bytes(3_000_000))
        deceived.change(upload_cache_url=f"http://127.0.0.1:{server.getsockname()[1]}/")
        # 60 s is the patience between two bytes, 3600 s that with a server that digests an upload.
        with pytest.raises(subprocess.TimeoutExpired):
            deceived.run("upload", "file", "--retries", "0", timeout=75)


def test_a_small_body_asks_for_no_consent(deceived, impostor):
    expected = []
    impostor.answer = lambda handler: expected.append(handler.headers.get("Expect"))
    (deceived.directory / "file").write_bytes(b"small")
    deceived.run("upload", "-k", "a", "file")
    assert set(expected) == {None}


@pytest.mark.parametrize("way", ["says 500", "hangs up"])
def test_a_directory_goes_to_a_server_that_takes_no_chunks(deceived, impostor, way):
    def answer(handler):
        if handler.headers.get("Transfer-Encoding") == "chunked":
            if way == "says 500":
                read(handler)
                return reply(handler, 500)
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return True

    directory = deceived.directory / "tree"
    directory.mkdir()
    (directory / "noise").write_bytes(os.urandom(40 << 20))  # too large to be packed before it is sent
    impostor.answer = answer
    start = time.monotonic()
    assert_ended(deceived.run("upload", "tree"), DONE)
    assert time.monotonic() - start < 12
    assert len(impostor.blobs) == 1


def test_a_small_directory_that_is_there_is_not_sent_again(deceived, impostor):
    directory = deceived.directory / "tree"
    directory.mkdir()
    (directory / "file").write_text("a")
    for _ in range(2):
        assert_ended(deceived.run("upload", "tree"), DONE)
    assert len(impostor.asked("POST")) == 1


def test_a_refused_pipe_is_not_waited_for(deceived, impostor):
    impostor.answer = lambda handler: handler.command == "POST" and reply(handler, 403, b"no")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = subprocess.Popen(
        [SHACACHE, "upload", "--config", deceived.config, "/dev/stdin"], stdin=reader, env=CLEAN, cwd=deceived.directory,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    os.close(reader)
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            os.write(writer, bytes(1 << 20))
        except BlockingIOError:
            time.sleep(0.01)
        except BrokenPipeError:
            break
    eventually(lambda: process.poll() is not None, 10)
    os.close(writer)
    assert process.returncode == FAILED and b"403" in process.stderr.read()
    process.stderr.close()


# The configuration, and what is said


def test_a_configuration_may_come_from_a_pipe(stack, node):
    name = stack.upload(b"piped")
    done = subprocess.run(
        [SHACACHE, "download", "--config", "/dev/stdin", "--sha512", name], input=node.config.read_bytes(),
        env=CLEAN, capture_output=True)
    assert done.stdout == b"piped", done


def test_an_option_that_stands_twice_is_a_warning(node):
    node.config.write_text(node.config.read_text() + "download-dir-url = http://elsewhere\n")
    done = node.run("config", text=True)
    assert "download-dir-url stands there a second time" in done.stderr
    found = node.json("doctor", "--read-only", status=FAILED)
    assert any("second time" in finding["text"] for finding in found)


def test_a_configuration_without_the_section_is_a_warning(node):
    node.config.write_text("[shacache]\n")
    assert "has no section [networkcache]" in node.run("config", text=True).stderr


@pytest.mark.parametrize("words", [["config"], ["lookup", "-k", "a"], ["doctor", "--read-only"]])
def test_output_that_is_lost_is_a_failure(deceived, impostor, words):
    impostor.listings["a"] = [[metadata_of(), ""]]
    with open("/dev/full", "w") as full:
        done = deceived.run(*words, stdout=full, capture_output=False, stderr=subprocess.PIPE)
    assert_ended(done, FAILED, "no space left")


def test_a_key_whose_certificate_is_lost_is_not_kept(node):
    with open("/dev/full", "w") as full:
        done = node.run(
            "generate-signature-key", "new.key", "me", stdout=full, capture_output=False, stderr=subprocess.PIPE)
    assert_ended(done, FAILED)
    assert not (node.directory / "new.key").exists()


def test_passwords_in_urls_are_not_shown(node):
    url = f"http://user:s3cret@127.0.0.1:{free_port()}/shadir"
    node.change(download_dir_url=url)
    for words in ["lookup", "-k", "a", "--retries", "0"], ["config"], ["doctor", "--read-only"]:
        done = node.run(*words, text=True)
        assert "s3cret" not in done.stdout + done.stderr, done


# The binary cache


def test_an_archive_that_is_not_safe_does_not_hide_the_next_one(stack, node, tmp_path):
    release = f"https://lab.example.org/{os.urandom(4).hex()}/software.cfg"
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "out").symlink_to("/etc/passwd")
    refused = node.run("binary-cache", "publish", tree, "--software-url", release)
    assert_ended(refused, FAILED, "not published")
    assert_ended(node.run("binary-cache", "publish", tree, "--software-url", release, "--allow-links-out"), DONE)
    (tree / "out").unlink()
    (tree / "in").write_text("safe")
    assert_ended(node.run("binary-cache", "publish", tree, "--software-url", release), DONE)
    root = tmp_path / "root"
    root.mkdir()
    done = assert_ended(
        node.run("binary-cache", "install", "--software-url", release, "--software-root", root), DONE,
        "tries the next entry")
    assert os.listdir(done.stdout.decode().strip()) == ["in"]
    report = node.json("binary-cache", "install", "--software-url", release, "--software-root", root)
    assert report["installed"] is False and json.dumps(report)
