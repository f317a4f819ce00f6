"""What the client shows to people and to scripts, and the proxies that it goes through."""

import json
import os
import pty
import re
import socket
import subprocess
import termios
import threading
import time

import pytest
from deployed import new_key
from impostor import reply
from listener import Listener
from node import DONE, FAILED, MISSING, MISUSE, SHACACHE, UNTRUSTED, assert_ended
from test_client_download import pair, published

SIZE = 3_000_000


@pytest.fixture
def slow(stack, impostor):
    """A blob under the key `a` that takes a second, so that there is something to show."""
    data = os.urandom(SIZE)

    def slowly(handler):
        if handler.command != "GET" or not handler.path.startswith("/shacache/"):
            return None
        handler.send_response(200)
        handler.send_header("Content-Length", str(SIZE))
        handler.end_headers()
        for place in range(0, SIZE, SIZE // 10):
            handler.wfile.write(data[place:place + SIZE // 10])
            time.sleep(0.08)
        return True

    impostor.answer = slowly
    impostor.listings["a"] = [pair(stack, impostor.has(data))]
    return data


def on_a_terminal(node, *words, columns=200, **env):
    """Runs it with a terminal as standard error; returns (exit code, what was shown)."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    shown = []

    def read():
        try:
            while piece := os.read(ours, 65536):
                shown.append(piece)
        except OSError:
            pass  # the other end is closed

    reader = threading.Thread(target=read)
    reader.start()
    with node.start(*words, stderr=theirs, env={"TERM": "xterm", **env}) as client:
        os.close(theirs)
        client.stdout.read()
    reader.join(10)
    os.close(ours)
    return client.returncode, b"".join(shown).decode(errors="replace")


DOWNLOAD = ["download", "-k", "a", "-o", "out"]


@pytest.mark.parametrize("words, lines", [([], 1), (["-v"], 3)])
def test_where_nobody_looks_there_are_no_bars_and_no_colours(deceived, slow, words, lines):
    done = assert_ended(deceived.run(*DOWNLOAD, *words), DONE)
    error = done.stderr.decode()
    assert not re.search("[\x1b\r━─%]", error) and len(error.splitlines()) == lines
    assert b"\x1b" not in deceived.run("download", "-k", "unknown").stderr


def test_on_a_terminal_a_bar_shows_how_far_it_is(deceived, slow):
    code, shown = on_a_terminal(deceived, *DOWNLOAD)
    assert code == DONE
    parts = [int(part) for part in re.findall(r"(\d+) %", shown)]
    assert len(parts) > 3 and parts == sorted(parts) and parts[0] < 50
    for words in "receiving out", "━", "of 2.8 MiB", "/s", "left":
        assert words in shown
    # A line that is broken by the terminal could not be drawn over.
    for line in on_a_terminal(deceived, *DOWNLOAD, columns=40)[1].split("\n"):
        assert "━" not in line or len(line.rpartition("\x1b[J")[2].strip()) < 40
    # What stays is the result alone.
    last = shown.rpartition("\x1b[J")[2]
    assert "━" not in last and "from the cache" in last


def test_errors_are_coloured_on_a_terminal_only_where_colours_are_wanted(deceived, slow):
    assert "\x1b[31m" in on_a_terminal(deceived, "download", "-k", "unknown")[1]
    assert "\x1b[31m" in on_a_terminal(deceived, "download", "-k", "unknown", NO_COLOR="")[1]
    code, shown = on_a_terminal(deceived, "download", "-k", "unknown", NO_COLOR="1")
    assert code == MISSING and "\x1b" not in shown
    # That is about colours, not about bars.
    assert "━" in on_a_terminal(deceived, *DOWNLOAD, NO_COLOR="1")[1]
    assert "\x1b" not in on_a_terminal(deceived, *DOWNLOAD, TERM="dumb")[1]


def test_quiet_says_nothing_but_warnings_and_errors(stack, deceived, impostor, slow):
    assert deceived.run(*DOWNLOAD, "--quiet").stderr == b""
    assert on_a_terminal(deceived, *DOWNLOAD, "--quiet")[1] == ""
    assert deceived.run("download", "-k", "unknown", "-q").stderr.count(b"\n") == 1
    impostor.listings["b"] = [pair(stack, "0" * 128), pair(stack, impostor.has(b"next"))]
    impostor.answer = None
    assert deceived.run("download", "-k", "b", "-q").stderr.count(b"\n") == 1


def test_verbose_says_what_is_tried_and_why(deceived, impostor):
    troubles = [503]
    impostor.answer = lambda handler: reply(handler, troubles.pop(), b"busy", {"Retry-After": "1"}) if troubles else None
    assert_ended(deceived.run("download", "-k", "unknown", "-v"), MISSING, "503 busy; tries again in 1 s")


# Cache.note, Downloader.listing, MetadataFilter.apply
def test_verbose_lists_the_requests_and_the_entries_that_were_passed_over(stack, deceived, impostor):
    data = os.urandom(20)
    other = "1" * 128
    unsigned = json.dumps({"sha512": "2" * 128}), ""
    strange = json.dumps({"sha512": "3" * 128}), "AAAA"
    impostor.listings["a"] = [
        unsigned, strange, ["broken"], pair(stack, other, revision=1), pair(stack, "4" * 128),
        pair(stack, impostor.has(data), revision=2)]
    deceived.options["download-cache-url"] = impostor.options["download-cache-url"].replace("://", "://me:secret@")
    deceived.write()
    said = assert_ended(deceived.run("download", "-k", "a", "revision>=2", "-v"), DONE).stderr.decode()
    assert f"GET {impostor.options['download-dir-url']}/a: 200\n" in said
    assert f"GET {impostor.options['download-cache-url']}/{impostor.has(data)}: 200\n" in said and "secret" not in said
    assert "a: entry 1 passed over, SHA-512 2222222222222222…: it is unsigned" in said
    assert "a: entry 2 passed over, SHA-512 3333333333333333…: no listed certificate verifies it" in said
    assert "a: entry 3 can't be read" in said
    assert "passed over by the filter revision>=2, SHA-512 1111111111111111…: revision is 1" in said
    assert "passed over by the filter revision>=2, SHA-512 4444444444444444…: it has no revision" in said
    impostor.listings["a"] = [unsigned]
    said = assert_ended(deceived.run("download", "-k", "a", "-v"), UNTRUSTED, "none of its 1 entry is trusted").stderr
    assert b"it is unsigned" in said
    said = assert_ended(deceived.run("lookup", "-k", "a", "-v"), UNTRUSTED).stderr.decode()
    assert f"HEAD {impostor.options['download-cache-url']}/{'2' * 128}: 404\n" in said
    (deceived.directory / "file").write_bytes(data + b"new")
    said = assert_ended(deceived.run("upload", "-k", "a", "file", "-v"), DONE).stderr.decode()
    assert "POST http" in said and ": 201\n" in said and "PUT http" in said


def test_standard_output_is_called_so(stack, node):
    key = published(stack, b"data")
    done = assert_ended(node.run("download", "-k", key, "-o", "-"), DONE, "shacache: standard output: from the cache, ")
    assert done.stdout == b"data"


def test_an_option_before_the_subcommand_is_told_its_place(node):
    done = node.run("lookup", "-k", "a", config=False)
    assert b"hint: options stand behind" not in done.stderr
    done = subprocess.run([SHACACHE, "--config", node.config, "lookup", "-k", "a"], capture_output=True)
    assert_ended(done, MISUSE, "shacache: hint: options stand behind the subcommand")


def test_one_is_singular(node):
    assert b"1 certificate: " in node.run("config").stdout
    node.change(signature_private_key_file=None)
    done = node.run("upload", "-k", new_key(), "slapos.cfg", "--strict")
    assert_ended(done, FAILED, "there was 1 warning, and --strict")


def test_what_a_server_says_cannot_steer_the_terminal(deceived, impostor):
    impostor.answer = lambda handler: reply(handler, 403, "\x1b]0;title\x07\x1b[2J\x9b31m\nshacache: done\r".encode())
    done = assert_ended(deceived.run("download", "-k", "a"), FAILED)
    text = done.stderr.decode()
    assert not any(ord(letter) < 32 and letter != "\n" or 0x7F <= ord(letter) < 0xA0 for letter in text)
    assert text.count("\n") == 1


def test_nor_can_a_files_name(node):
    name = "a\x1b[2J\nb"
    (node.directory / name).write_bytes(os.urandom(9))
    for words in ["upload", name], ["upload", name + "missing"], ["upload", "-k", new_key() + "\x1b", name]:
        assert b"\x1b" not in node.run(*words).stderr


def test_a_reader_that_has_gone_is_a_failure_and_no_signal(stack, node):
    key = published(stack, os.urandom(1_000_000))
    reading, writing = os.pipe()
    os.close(reading)
    done = node.run("download", "-k", key, capture_output=False, stdout=writing, stderr=-1)
    os.close(writing)
    assert_ended(done, FAILED, "broken pipe")


def test_help_and_version_go_to_standard_output(node):
    for words in ["--help"], ["--version"]:
        done = node.run(*words, config=False)
        assert (done.returncode, done.stderr) == (0, b"") and done.stdout
    for name in "upload", "download", "lookup", "binary-cache", "generate-signature-key", "config":
        assert name in node.run("--help", config=False).stdout.decode()
        assert node.run(name, "--help", config=False).returncode == 0
    for code in range(6):
        assert f"{code} " in node.run("--help", config=False).stdout.decode()


# ProgressBars.update. Before, the two steps took turns, and each turn began the rate anew.
def test_the_bar_of_what_is_packed_while_it_is_sent_stays_with_the_sending(deceived):
    tree = deceived.directory / "tree"
    tree.mkdir()
    for name in "abcd":
        (tree / name).write_bytes(os.urandom(40 << 20))
    code, shown = on_a_terminal(deceived, "upload", "tree")
    steps = re.findall("(packing|sending) tree", shown)
    assert code == DONE and "sending" in steps
    assert "packing" not in steps[steps.index("sending"):]


# Proxies


class Proxy(Listener):
    """An HTTP proxy for both kinds of request; it notes them."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            if not (piece := client.recv(65536)):
                return client.close()
            head += piece
        line = head.split(b"\r\n", 1)[0].decode()
        self.lines.append(line)
        method, target, _ = line.split(" ")
        port = int(target.removeprefix("http://").split("/")[0].rpartition(":")[2])
        server = socket.create_connection(("127.0.0.1", port))
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            path = "/" + target.removeprefix("http://").split("/", 1)[1]
            rest = head.split(b"\r\n", 1)[1]
            server.sendall(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n".encode() + rest)
        back = threading.Thread(target=relay, args=[server, client], daemon=True)
        back.start()
        relay(client, server)


def relay(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_requests_go_through_the_proxy_of_the_environment(stack, node):
    key = published(stack, b"by proxy")
    (node.directory / "file").write_bytes(os.urandom(9))
    with Proxy() as proxy:
        environment = {"http_proxy": proxy.url}
        assert node.run("download", "-k", key, env=environment).stdout == b"by proxy"
        assert len(proxy.lines) == 2 and all(line.startswith(f"GET {stack.env['SHACACHE_URL'].split('/shacache')[0]}/") for line in proxy.lines)
        proxy.lines.clear()
        assert_ended(node.run("upload", "file", env={"https_proxy": proxy.url}), DONE)
        assert proxy.lines == [f"CONNECT localhost:{stack.settings['HTTPS_PORT']} HTTP/1.1"]
        proxy.lines.clear()
        for names in "localhost,127.0.0.1", "*":
            assert node.run("download", "-k", key, env={**environment, "no_proxy": names}).stdout == b"by proxy"
        assert proxy.lines == []


def test_a_proxy_that_is_not_there_is_5(node):
    assert node.run("download", "-k", "a", "--retries", "0", env={"http_proxy": "http://127.0.0.1:1"}).returncode == 5
