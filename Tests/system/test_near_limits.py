"""A near cache whose upstream is away, slow, or not to be believed; and clients that ask for too much."""

import json
import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from faulty import Gated, LongHeader, Mute, Negative, Stalling
from impostor import reply
from listener import Listener
from nearby import Fetching, asked, bytes_of, configure, crowd, fetcher, get, is_stored, leftovers, log_of, memory, name_of, tables
from stack import Database, Stack, eventually
from tracing import Trace


class Silent(Listener):
    """Takes connections, and answers nothing."""

    def __init__(self):
        super().__init__()
        self.connections = 0

    def serve(self, client):
        self.connections += 1
        with client:
            while client.recv(65536):
                pass


@pytest.fixture(scope="module")
def near(near):
    """It believes a request that says in X-Test-Address where it comes from."""
    site = near.state / "nginx/site.conf"
    trust = "set_real_ip_from 127.0.0.1; set_real_ip_from ::1; real_ip_header X-Test-Address;"
    site.write_text(f"{trust}\n{site.read_text()}")
    near.reload_nginx()
    return near


def reasons(near, digest):
    """Why upstreams gave no blob of this name, as the log has it."""
    lines = [line for line in log_of(near).splitlines() if digest in line]
    return [match[1] for line in lines if (match := re.search(r'"reason": "([^"]*)"', line))]


# CircuitBreaker, Upstream.headerTimeout.
def test_an_upstream_that_does_not_answer_is_not_asked_for_a_while(near, upstream):
    hit = near.upload(bytes_of(1000))
    with Silent() as silent:
        configure(near, tables(("silent", silent), header_timeout="1 second"))
        first = name_of(bytes_of(10))
        assert get(near, first)[0] == 404 and reasons(near, first) == ["no answer"]
        with ThreadPoolExecutor(20) as clients:
            assert set(clients.map(lambda _: get(near, name_of(bytes_of(10)))[0], range(200))) == {404}
        # Each of them would have had one; a pause that is over allows one.
        assert silent.connections < 20
        assert get(near, hit)[0] == 200


def is_served(near, upstream):
    """Whether a blob is that nobody asked for yet."""
    data = bytes_of(1000)
    return get(near, upstream.has(data))[::2] == (200, data)


# HTTPFailure.Cause.malformed, UpstreamFailure.isOfServer.
@pytest.mark.parametrize("fault", [Negative, LongHeader])
def test_a_blob_whose_answer_is_malformed_stops_no_other(near, upstream, fault):
    configure(near, tables(("first", upstream)))
    broken = upstream.has(bytes_of(1000))
    upstream.answer = fault({broken})
    for _ in range(3):
        assert get(near, broken)[0] == 404 and is_served(near, upstream)
    assert len(asked(upstream, broken)) == 1 and reasons(near, broken) == ["not the blob"]


# CircuitBreaker.noteSilence, UpstreamFailure.rest.
def test_a_blob_whose_headers_do_not_come_stops_no_other(near, upstream):
    configure(near, tables(("first", upstream), header_timeout="2 seconds"))
    alone, among = (upstream.has(bytes_of(1000)) for _ in range(2))
    upstream.answer = Mute({alone, among})
    assert get(near, alone)[0] == 404 and reasons(near, alone) == ["no answer"]
    time.sleep(1.2)  # until the pause is over: it doesn't take the other's turn
    assert get(near, alone)[0] == 404 and is_served(near, upstream)
    with ThreadPoolExecutor(1) as client:
        waiting = client.submit(get, near, among)
        while not waiting.done():
            assert is_served(near, upstream)
    assert waiting.result()[0] == 404 and reasons(near, among) == ["no answer"]
    assert is_served(near, upstream)
    assert len(asked(upstream, alone)) == len(asked(upstream, among)) == 1


# UpstreamFailure.init: another host than the upstream's.
@pytest.mark.parametrize("port", [1, 99999])
def test_a_blob_that_is_redirected_to_nowhere_stops_no_other(near, upstream, port):
    configure(near, tables(("first", upstream)))
    broken = upstream.has(bytes_of(1000))
    assert is_served(near, upstream)
    upstream.answer = lambda handler: broken in handler.path and reply(
        handler, 302, b"", {"Location": f"http://127.0.0.1:{port}/{broken}"})
    assert get(near, broken)[0] == 404
    assert eventually(lambda: get(near, broken)[0] == 404 and is_served(near, upstream), seconds=5)
    assert len(asked(upstream, broken)) == 1 and "certificate" not in reasons(near, broken)


# HTTPSession.send: what lies on a connection behind an earlier answer.
def test_stray_bytes_are_put_against_no_other_blob(near, upstream):
    configure(near, tables(("first", upstream)))

    def stray(handler):
        if hasattr(handler, "has_answered"):
            handler.wfile.write(b"stray bytes\r\n")
            handler.close_connection = True
            return True
        handler.has_answered = True

    upstream.answer = stray
    blobs = {upstream.has(data): data for data in (bytes_of(1000) for _ in range(6))}
    assert all(get(near, digest)[::2] == (200, data) for digest, data in blobs.items())
    assert [reasons(near, digest) for digest in blobs] == [[]] * 6
    assert sum(len(asked(upstream, digest)) for digest in blobs) > 6


# Transfer.take: as with a short page.
@pytest.mark.parametrize("status, reason", [(401, ["status"]), (500, ["status"]), (404, [])])
def test_a_long_error_page_is_its_status(near, upstream, status, reason):
    configure(near, tables(("first", upstream)))
    digest = name_of(bytes_of(10))
    upstream.answer = lambda handler: digest in handler.path and reply(handler, status, bytes(1 << 20))
    assert get(near, digest)[0] == 404 and reasons(near, digest) == reason
    assert is_served(near, upstream)


class Chunking(Gated):
    """In chunks, the second half when `gate` is set; then it ends in the middle of a chunk."""

    def send(self, handler, data, start):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        half = data[:len(data) // 2]
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(half), half))
        self.gate.wait(60)
        handler.wfile.write(b"%x\r\n%b" % (len(half), half[:-1]))


# FetchAttempt.isOfUse.
@pytest.mark.parametrize("leaves", [True, False], ids=["its client leaves", "it is cut"])
def test_what_has_no_size_and_does_not_end_leaves_nothing(near, upstream, tmp_path, leaves):
    configure(near, tables(("first", upstream)))
    digest, gate = upstream.has(bytes_of(4 << 20)), threading.Event()
    upstream.answer = Chunking({digest}, gate)
    fetching = Fetching(near, digest, tmp_path)
    eventually(lambda: any(file.stat().st_size > 1 << 20 for file in leftovers(near, digest)))
    if leaves:
        fetching.process.kill()
        time.sleep(3)  # for the fetcher to notice
    gate.set()
    fetching.process.wait(60)
    eventually(lambda: leftovers(near, digest) == [])
    line = '"reason": "interrupted"' if not leaves else "nobody waits for it"
    assert [line in text for text in log_of(near).splitlines() if digest in text] == [True]


# FetchAttempt.resumptionTime: without it, as long again.
@pytest.mark.slow
def test_a_stall_is_a_cut_before_a_deployed_client_has_gone(near, upstream, tmp_path):
    configure(near, tables(("first", upstream)))
    data = bytes_of(3 << 20)
    digest = upstream.has(data)
    upstream.answer = Stalling({digest})
    begin = time.monotonic()
    assert Fetching(near, digest, tmp_path).end()[0] == 18
    assert 30 < time.monotonic() - begin < 48
    assert len(asked(upstream, digest)) == 2


# fetch.conf: fastcgi_read_timeout.
@pytest.mark.slow
def test_a_fetcher_that_hangs_is_waited_for_shorter_than_a_deployed_client_does(near, upstream):
    configure(near, tables(("first", upstream)))
    pid = eventually(lambda: fetcher(near))
    os.kill(pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        assert get(near, name_of(bytes_of(10)))[0] == 503
        assert time.monotonic() - begin < 60
    finally:
        os.kill(pid, signal.SIGCONT)


# UpstreamServer.find.
@pytest.mark.parametrize("status", [405, 501])
def test_an_upstream_without_head_is_asked_by_a_get(near, upstream, status):
    configure(near, tables(("first", upstream)))
    upstream.answer = lambda handler: handler.command == "HEAD" and reply(handler, status)
    digest = upstream.has(bytes_of(3 << 20))
    code, headers, _ = near.request("HEAD", f"/shacache/{digest}")
    assert (code, headers["Content-Length"]) == (200, str(3 << 20))
    assert near.request("HEAD", f"/shacache/{name_of(bytes_of(10))}")[0] == 404
    assert not near.blob_file(digest).exists() and is_served(near, upstream)


# CircuitBreaker.allows: half-open.
def test_an_upstream_that_is_back_is_asked_again(near, upstream):
    configure(near, tables(("first", upstream), header_timeout="1 second"))
    data = bytes_of(1000)
    digest = upstream.has(data)
    upstream.answer = lambda handler: handler.connection.recv(1)  # until the other side ends it
    assert get(near, digest)[0] == 404 and reasons(near, digest) == ["no answer"]
    upstream.answer = None
    assert eventually(lambda: is_served(near, upstream))
    # Not what it didn't answer to before.
    assert get(near, digest)[0] == 404 and len(asked(upstream, digest)) == 1


# UpstreamServer.request: what the other side's certificate is checked by.
def test_an_upstream_is_believed_by_its_certificate_alone(near, closed):
    data = bytes_of(3 << 20)
    digest = closed.upload(data)
    url = f"https://localhost:{closed.settings['HTTPS_PORT']}"
    for authority, status in ("", 404), (f'ca-file = "{closed.env["CA_FILE"]}"\n', 200):
        configure(near, f'[[upstream]]\nname = "tls"\nshacache = "{url}/shacache"\nshadir = "{url}/shadir"\n{authority}')
        got, _, body = get(near, digest)
        assert (got, body == data) == (status, status == 200)
        assert ("certificate" in reasons(near, digest)) is True


# CacheLoop: two that name each other, and one that names itself.
def test_a_ring_ends_at_once(near):
    with Stack(near.state.parent / "other", UPSTREAM=f"http://127.0.0.1:{near.settings['HTTP_PORT']}/shacache") as other:
        other_url = f"http://127.0.0.1:{other.settings['HTTP_PORT']}"
        configure(near, f'[[upstream]]\nname = "other"\nshacache = "{other_url}/shacache"\nshadir = "{other_url}/shadir"\n')
        digest = name_of(bytes_of(10))
        assert get(near, digest)[0] == get(other, digest)[0] == 404
        assert reasons(near, digest) == reasons(other, digest) == []
        near.wait_for_access_log()
        lines = [line for cache in (near, other) for line in (cache.state / "log/access.log").read_text().splitlines()]
        assert 3 <= len([line for line in lines if digest in line]) <= 5
        data = bytes_of(1000)
        kept = other.upload(data)
        assert get(near, kept)[::2] == (200, data)
        # Fetcher.noteAbsence: what one said since the other had asked it counts no longer than that question.
        late = bytes_of(1000)
        assert get(near, name_of(late))[0] == 404
        near.upload(late)
        assert get(other, name_of(late))[::2] == (200, late)


class Meeting(Listener):
    """Passes connections on to a port. When `barrier` is set, the next request waits there."""

    def __init__(self, port):
        super().__init__()
        self.barrier, self._port = None, port

    def serve(self, client):
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            threading.Thread(target=self._pass_on, args=[server, client], daemon=True).start()
            self._pass_on(client, server, self._meet)

    def _meet(self):
        barrier, self.barrier = self.barrier, None
        if barrier:
            barrier.wait(20)

    @staticmethod
    def _pass_on(source, target, before=lambda: None):
        try:
            while data := source.recv(65536):
                before()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other direction has ended


# Fetcher.mayWait, KeyFetcher.Question: without them, each waits for the other's header timeout.
def test_caches_that_ask_each_other_at_once_wait_for_neither(near, upstream):
    other = Stack(near.state.parent / "mutual")
    to_near, to_other = (Meeting(int(cache.settings["HTTP_PORT"])) for cache in (near, other))
    other.settings["UPSTREAM"] = f"{to_near.url}/shacache"

    def ask_both(path):
        to_near.barrier = to_other.barrier = threading.Barrier(2)
        with ThreadPoolExecutor(2) as clients:
            return list(clients.map(lambda cache: cache.request("GET", path)[::2], (near, other)))

    with to_near, to_other, other:
        configure(near, tables(("other", to_other)))
        names = [f"shacache/{name_of(bytes_of(10))}", "shadir/mutual:1"]
        assert [status for name in names for status, _ in ask_both(f"/{name}")] == [404] * 4
        # And when a third one has it, which both ask next.
        configure(near, tables(("other", to_other), ("far", upstream)))
        configure(other, tables(("near", to_near), ("far", upstream)))
        data, pairs = bytes_of(1000), [["{\"sha512\": \"" + "0" * 128 + "\"}", ""]]
        upstream.listings["mutual:2"] = pairs
        names += [f"shacache/{upstream.has(data)}", "shadir/mutual:2"]
        assert ask_both(f"/{names[2]}") == [(200, data)] * 2
        assert [(status, json.loads(body)) for status, body in ask_both(f"/{names[3]}")] == [(200, pairs)] * 2
        assert [reasons(cache, name.rpartition("/")[2]) for cache in (near, other) for name in names] == [[]] * 8


# FetchResponder.misses.
def test_who_makes_up_names_has_them_asked_for_no_more(near, upstream):
    configure(near, tables(("first", upstream)))
    names = [name_of(bytes_of(10)) for _ in range(1300)]
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda name: get(near, name, **{"X-Test-Address": "192.0.2.9", "Range": "bytes=1-"}), names))
    assert {status for status, _, _ in answers} == {404, 429}
    assert all(int(headers["Retry-After"]) > 0 and body == b"" for status, headers, body in answers if status == 429)
    assert sum(len(asked(upstream, name)) for name in names) < 1200
    data = bytes_of(1000)
    digest = upstream.has(data)
    assert get(near, digest, **{"X-Test-Address": "192.0.2.10"})[::2] == (200, data)


# [fetching] clients, Fetcher.limit, UpstreamServer.bufferSize.
@pytest.mark.slow
def test_stuck_upstreams_and_slow_clients_hold_little(near, upstream):
    configure(near, tables(("first", upstream), stall_timeout="5 minutes"))
    hit = near.upload(bytes_of(100_000))
    with crowd(near, upstream) as (let_go, large):
        assert all(get(near, hit)[0] == 200 for _ in range(100))
        assert near.request("GET", "/shadir/nothing")[0] == 404
        near.upload(bytes_of(100_000))
        let_go()
        eventually(near.blob_file(large).exists, seconds=60)
        most, threads = memory(fetcher(near))
        assert most <= 64 << 20 and threads < 700, (most, threads)
    data = bytes_of(1000)
    assert eventually(lambda: get(near, upstream.has(data))[::2] == (200, data), seconds=60)


# Fetcher.turn: without it, those beyond Fetcher.storingLimit are told to try again.
def test_more_than_the_disk_takes_at_once_waits_its_turn(near, upstream, tmp_path):
    configure(near, tables(("first", upstream)))
    blobs = {upstream.has(data): data for data in (bytes_of(1000) for _ in range(100))}
    # Each thread's first, which is of a file.
    with Trace([fetcher(near)], tmp_path / "trace", "trace=fsync", "inject=fsync:delay_enter=4000000:when=1"):
        with ThreadPoolExecutor(16) as clients:
            assert list(clients.map(lambda name: get(near, name)[::2], blobs)) == [(200, data) for data in blobs.values()]
    eventually(lambda: all(near.blob_file(digest).exists() for digest in blobs), seconds=60)


# FetchedBlobs.store: without it, threads that flush hold all sessions of the database.
def test_a_slow_disk_holds_up_no_other_blob(near, upstream, tmp_path):
    configure(near, tables(("first", upstream)))
    blobs = {upstream.has(data): data for data in (bytes_of(1000) for _ in range(12))}
    with Trace([fetcher(near)], tmp_path / "trace", "trace=fsync", "inject=fsync:delay_enter=8000000"):
        assert all(get(near, digest)[::2] == (200, data) for digest, data in blobs.items())
        assert not any(near.blob_file(digest).exists() for digest in blobs)
    eventually(lambda: all(near.blob_file(digest).exists() for digest in blobs), seconds=60)


# Upstream.bandwidth: a lower bound, which no load on the machine can break.
def test_no_more_comes_from_an_upstream_than_it_may(near, upstream):
    configure(near, tables(("first", upstream), bandwidth="1 MB"))
    data = bytes_of(3 << 20)
    digest = upstream.has(data)
    begin = time.monotonic()
    assert get(near, digest)[::2] == (200, data)
    assert time.monotonic() - begin > 2


POLICY = """
[[retention]]
name = "loose"
blobs = "unnamed"
keep-since-upload = "1 second"

[collection]
untouched = "0 seconds"
removal-delay = "0 seconds"
trash = "0 seconds"
"""


# BlobRepository.giveBack, shacache.trash: of no account.
def test_a_collection_removes_what_was_fetched_by_no_account(near, upstream):
    configure(near, tables(("first", upstream)) + POLICY)
    data = bytes_of(3000)
    digest = upstream.has(data)
    assert get(near, digest)[0] == 200 and is_stored(near, data)
    Database(near).run(f"UPDATE shacache.blob SET created_at = now() - interval '1 hour', last_referenced_at = now() - interval '1 hour' WHERE sha512 = '\\x{digest}'")
    for _ in range(3):
        near.admin("collect", "apply")
    assert not near.blob_file(digest).exists()
    assert Database(near).run(f"SELECT FROM shacache.blob WHERE sha512 = '\\x{digest}'") == []
    assert near.admin("account", "recount", check=False).returncode == 0
    assert get(near, digest)[::2] == (200, data) and is_stored(near, data)
