"""Caches that don't answer: each is waited for once, and no longer than the guide says."""

import os
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from deployed import metadata_of, sign
from impostor import Impostor, reply
from listener import Listener
from node import DONE, FAILED, UNREACHABLE, assert_ended
from stack import free_port

DATA = b"from the origin"
SAYS = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


class Silent(Listener):
    """Takes connections, and says `words` byte by byte or all at once, and then little or nothing."""

    def __init__(self, words=b"", every=None, closes=False):
        super().__init__()
        self._words, self._every, self._closes = words, every, closes
        self._over = threading.Event()
        self.connections = 0

    def __exit__(self, *error):
        self._over.set()
        super().__exit__(*error)

    def serve(self, client):
        self.connections += 1
        with client:
            try:
                client.recv(65536)
                client.sendall(self._words)
                if self._closes:
                    return
                while not self._over.wait(self._every or 0.2):
                    if self._every:
                        client.sendall(b"x")
            except OSError:
                pass


@contextmanager
def refusing():
    yield f"http://127.0.0.1:{free_port()}"


@contextmanager
def dropping():
    """The kernel answers no connection to a socket whose queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.socket() as one, socket.socket() as two:
        for client in one, two:
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def speaking(*words, **more):
    @contextmanager
    def kind():
        with Silent(*words, **more) as server:
            yield server.url
    return kind


KINDS = {
    "refuses": refusing, "drops packets": dropping, "accepts and never answers": speaking(),
    "trickles its head": speaking(b"HTTP/1.1 200 OK\r\nA: ", every=0.3), "answers the head and stalls": speaking(SAYS),
    "trickles": speaking(SAYS, every=0.1), "cuts after each byte": speaking(SAYS + b"x", closes=True)}


@pytest.fixture(scope="module")
def origin():
    with Impostor(lambda handler: reply(handler, 200, DATA)) as origin:
        yield origin


def turned_to(node, url):
    """Takes what is there for its cache."""
    node.change(**{
        f"{direction}_{kind}{service}_url": f"{url}/{service}"
        for direction in ("download", "upload") for kind in ("", "binary_") for service in ("cache", "dir")})


def all_at_once(node, calls, **options):
    """What each came to, with its seconds."""
    ended = {}

    def run(name, words):
        start = time.monotonic()
        done = node.run(*words, **options)
        ended[name] = done, time.monotonic() - start

    threads = [threading.Thread(target=run, args=call) for call in calls.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def reading(origin):
    """Each command that reads, and how it ends."""
    release = ["--software-url", "https://example.org/software.cfg"]
    return {
        "lookup": (["lookup", "-k", "a"], UNREACHABLE), "download": (["download", "-k", "a"], UNREACHABLE),
        "by name": (["download", "--sha512", "0" * 128], UNREACHABLE),
        "install": (["binary-cache", "install", *release, "--software-root", "."], UNREACHABLE),
        "origin": (["download", "-k", "a", "--origin", f"{origin.url}/a", "-o", "out"], DONE)}


# SilenceWatch, which Cache.answer and Retry share.
@pytest.mark.parametrize("kind", KINDS)
def test_what_reads_waits_for_the_time_that_was_said_whatever_the_cache_does(node, origin, kind):
    with KINDS[kind]() as url:
        turned_to(node, url)
        calls = reading(origin)
        ended = all_at_once(node, {name: [*words, "--timeout", "2"] for name, (words, _) in calls.items()})
    for name, (_, status) in calls.items():
        done, seconds = ended[name]
        # libcurl looks once a second, and five programs start at once.
        assert done.returncode == status and seconds < 5, (name, seconds, done)
    assert (node.directory / "out").read_bytes() == DATA


# The guide's 15 s: briefTimeout.
def test_without_an_option_it_waits_fifteen_seconds(node, origin, tmp_path):
    with KINDS["accepts and never answers"]() as url:
        turned_to(node, url)
        ended = all_at_once(node, {name: words for name, (words, _) in reading(origin).items()})
    for name, (done, seconds) in ended.items():
        assert 14 < seconds < 19, (name, seconds, done)


# EndpointChecks.ask: SilentServers.
def test_the_doctor_waits_for_a_silent_server_once(node):
    with Silent() as server:
        turned_to(node, server.url)
        start = time.monotonic()
        done = node.run("doctor", "--read-only", "--timeout", "2", text=True)
        assert done.returncode == FAILED and time.monotonic() - start < 5 and server.connections == 1
        assert done.stdout.count("no answer for 2 s") == 1 and done.stdout.count("not asked") == 7, done


# Retry.pause: what was refused is tried as long as that.
def test_a_cache_that_comes_back_within_the_time_is_used(deceived, impostor, stack):
    text = metadata_of(impostor.has(DATA))
    impostor.listings["a"] = [[text, sign(stack, text)]]
    begin = time.monotonic()

    def answer(handler):
        if time.monotonic() < begin + 2.5:
            handler.close_connection = True
            return True

    impostor.answer = answer
    assert assert_ended(deceived.run("download", "-k", "a", "--timeout", "6"), DONE).stdout == DATA


def test_the_environment_sets_it_for_the_old_names_too(node):
    with Silent() as server:
        turned_to(node, server.url)
        start = time.monotonic()
        assert_ended(node.run("lookup", "-k", "a", env={"SHACACHE_TIMEOUT": "1"}), UNREACHABLE, "no answer for 1 s")
        node.change(signature_private_key_file=None)
        (node.directory / "file").write_bytes(DATA)
        assert_ended(node.run_as("networkcache-upload", "-f", "file", env={"SHACACHE_TIMEOUT": "1"}), 1, "no answer for 1 s")
        assert time.monotonic() - start < 7 and server.connections == 2
    assert_ended(node.run("lookup", "-k", "a", env={"SHACACHE_TIMEOUT": "soon"}), 1, "SHACACHE_TIMEOUT")
    assert_ended(node.run("lookup", "-k", "a", "--timeout", "0"), 1, "1 to 3600")


# Retry.hasAlternative
def test_a_cache_in_trouble_gets_no_more_time_where_another_has_it(deceived, impostor, origin):
    impostor.answer = lambda handler: reply(handler, 503, headers={"Retry-After": "10"})
    start = time.monotonic()
    words = ["download", "-k", "a", "--timeout", "3", "-o", "out"]
    assert_ended(deceived.run(*words, "--origin", f"{origin.url}/a"), DONE, "503")
    assert time.monotonic() - start < 3 and len(impostor.requests) == 1
    impostor.answer = lambda handler: reply(handler, 503)
    assert_ended(deceived.run(*words, "--retries", "8", "--origin", f"{origin.url}/a"), DONE, "503")
    assert time.monotonic() - start < 8
    impostor.requests.clear()
    start = time.monotonic()
    impostor.answer = lambda handler: reply(handler, 503, headers={"Retry-After": "1"}) if len(
        impostor.requests) < 6 else None
    assert_ended(deceived.run(*words, "--retries", "8"), 3)
    assert time.monotonic() - start > 3.5


# Retry: the pause that a busy server asks for is none of the time that it has to answer.
def test_a_server_may_ask_for_a_longer_pause_than_it_is_waited_for(deceived, impostor, stack):
    text = metadata_of(impostor.has(DATA))
    impostor.listings["a"] = [[text, sign(stack, text)]]
    for pause in "3", "1":
        impostor.requests.clear()

        def answer(handler):
            if len(impostor.requests) == 1:
                return reply(handler, 503, headers={"Retry-After": pause}) or True
            time.sleep(1.3)

        impostor.answer = answer
        assert assert_ended(deceived.run("download", "-k", "a", "--timeout", "2"), DONE).stdout == DATA


# Cache.isGivenUp: each of many entries would get all of the time.
def test_trouble_with_one_blob_is_waited_for_and_with_the_others_not(deceived, impostor, stack, origin):
    impostor.listings["a"] = [
        [text, sign(stack, text)] for text in [metadata_of(impostor.has(b"%d" % number)) for number in range(8)]]
    impostor.answer = lambda handler: handler.path.startswith("/shacache/") and (reply(handler, 503) or True)
    start = time.monotonic()
    words = ["download", "-k", "a", "--timeout", "4", "-o", "out", "--origin", f"{origin.url}/a"]
    assert_ended(deceived.run(*words), DONE, "503")
    assert time.monotonic() - start < 6 and len(impostor.asked("GET", "/shacache/")) < 13


# Cache.answer: what has a body isn't watched so.
def test_a_server_may_take_its_time_with_an_upload(deceived, impostor):
    def answer(handler):
        if handler.command in ("POST", "PUT"):
            time.sleep(3)

    impostor.answer = answer
    (deceived.directory / "file").write_bytes(os.urandom(100))
    assert_ended(deceived.run("upload", "-k", "a", "file", "--timeout", "1"), DONE)
