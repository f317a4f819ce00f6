"""HTTP as it looks on the wire: how requests are framed, and what becomes of a connection."""

import hashlib
import os
import socket
import struct
from contextlib import suppress

import pytest
from stack import eventually
from wire import Wire

HOST = "Host: localhost\r\n"
LARGE = 3_000_000  # from a million bytes on, a worker is asked before the body is received
BODY = "abc"


def sha512(data):
    return hashlib.sha512(data).hexdigest()


def spool(stack):
    return list(stack.spool.iterdir())


MALFORMED = {
    "nonsense": ("GARBAGE\r\n\r\n", 400),
    "no target": ("GET\r\n\r\n", 400),
    "a space in the target": (f"GET /x y HTTP/1.1\r\n{HOST}\r\n", 400),
    "a target that is not a path": (f"GET x HTTP/1.1\r\n{HOST}\r\n", 400),
    "an asterisk": (f"OPTIONS * HTTP/1.1\r\n{HOST}\r\n", 400),
    "a lowercase method": (f"get / HTTP/1.1\r\n{HOST}\r\n", 400),
    "a NUL in the target": (f"GET /\0 HTTP/1.1\r\n{HOST}\r\n", 400),
    "an escaped NUL in the target": (f"GET /shadir/a%00b HTTP/1.1\r\n{HOST}\r\n", 400),
    "a control character in the target": (f"GET /\x01 HTTP/1.1\r\n{HOST}\r\n", 400),
    "half an escape in the target": (f"GET /shadir/a%2 HTTP/1.1\r\n{HOST}\r\n", 400),
    "a target above the root": (f"GET /../etc/passwd HTTP/1.1\r\n{HOST}\r\n", 400),
    "a target of 40 kB": (f"GET /{'y' * 40_000} HTTP/1.1\r\n{HOST}\r\n", 414),
    "a header of 40 kB": (f"GET / HTTP/1.1\r\n{HOST}X: {'y' * 40_000}\r\n\r\n", 400),
    "a version to come": (f"GET / HTTP/3.0\r\n{HOST}\r\n", 505),
    "no host": ("GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (f"GET / HTTP/1.1\r\n{HOST}{HOST}\r\n", 400),
    "a space in the host": ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "a slash in the host": ("GET / HTTP/1.1\r\nHost: a/../b\r\n\r\n", 400),
    "a space in a header's name": (f"GET / HTTP/1.1\r\nX Y: a\r\n{HOST}\r\n", 400),
    "a method that would echo the request": (f"TRACE / HTTP/1.1\r\n{HOST}\r\n", 405),
    "a tunnel": (f"CONNECT localhost:1 HTTP/1.1\r\n{HOST}\r\n", 400),
}


# errors.conf and messages.conf: without them nginx says these things in HTML. Where not even the host was read, a Range
# may follow, and its sender would splice the line into a file.
@pytest.mark.parametrize("request_bytes, status", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_told_so_in_one_line_at_most_and_the_connection_ends(cache, request_bytes, status):
    with Wire(cache) as wire:
        wire.send(request_bytes)
        answer = wire.answer()
        assert answer.status == status, answer
        assert answer.body == b"" or answer.line
        assert answer.headers["connection"] == "close"
        assert answer.headers["cache-control"] == "no-store"
        assert wire.rest() == b""


# What follows the headers is a request of its own to a server that counts differently.
SMUGGLED = f"GET /-/live HTTP/1.1\r\n{HOST}\r\n"
FRAMINGS = {
    "two lengths that agree": ("Content-Length: 3\r\nContent-Length: 3\r\n", BODY, 400),
    "two lengths that differ": ("Content-Length: 3\r\nContent-Length: 4\r\n", BODY, 400),
    "a list of lengths": ("Content-Length: 3, 3\r\n", BODY, 400),
    "a negative length": ("Content-Length: -3\r\n", BODY, 400),
    "a length with a plus": ("Content-Length: +3\r\n", BODY, 400),
    "a hexadecimal length": ("Content-Length: 0x3\r\n", BODY, 400),
    "a fractional length": ("Content-Length: 3.0\r\n", BODY, 400),
    "an empty length": ("Content-Length:\r\n", BODY, 400),
    "a length beyond 64 bits": (f"Content-Length: {2**64 + 3}\r\n", BODY, 400),
    "a length beyond 63 bits": (f"Content-Length: {2**63}\r\n", BODY, 400),
    "a length and chunks": ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", f"3\r\n{BODY}\r\n0\r\n\r\n", 400),
    "chunks and a length": ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", f"3\r\n{BODY}\r\n0\r\n\r\n", 400),
    "chunks said twice": ("Transfer-Encoding: chunked\r\n" * 2, f"3\r\n{BODY}\r\n0\r\n\r\n", 400),
    "an unknown encoding": ("Transfer-Encoding: gzip\r\n", BODY, 501),
    "an unknown encoding in chunks": ("Transfer-Encoding: gzip, chunked\r\n", f"3\r\n{BODY}\r\n0\r\n\r\n", 501),
    "the identity": ("Transfer-Encoding: identity\r\n", BODY, 501),
    "a chunk without size": ("Transfer-Encoding: chunked\r\n", f"\r\n{BODY}\r\n0\r\n\r\n", 400),
    "a chunk whose size is no number": ("Transfer-Encoding: chunked\r\n", f"xyz\r\n{BODY}\r\n0\r\n\r\n", 400),
    "a chunk of negative size": ("Transfer-Encoding: chunked\r\n", f"-3\r\n{BODY}\r\n0\r\n\r\n", 400),
    "a chunk longer than its size": ("Transfer-Encoding: chunked\r\n", f"3\r\n{BODY}def\r\n0\r\n\r\n", 400),
    "a chunk of more than 63 bits": ("Transfer-Encoding: chunked\r\n", f"ffffffffffffffff\r\n{BODY}\r\n0\r\n\r\n", 400),
}


@pytest.mark.parametrize("headers, body, status", FRAMINGS.values(), ids=FRAMINGS)
def test_a_body_whose_length_is_in_doubt_is_refused_and_nothing_after_it_is_a_request(stack, headers, body, status):
    with Wire(stack) as wire:
        wire.send(f"POST /shacache HTTP/1.1\r\n{HOST}{headers}\r\n{body}{SMUGGLED}")
        answer = wire.answer()
        assert answer.status == status, answer
        assert answer.line
        assert answer.headers["connection"] == "close"
        assert wire.rest() == b""


@pytest.mark.parametrize("length", [9_000_000_000_000_000_000, 2**63 - 1])
def test_a_body_that_is_larger_than_the_disk_is_refused_before_it_comes(stack, length):
    with Wire(stack) as wire:
        wire.send(f"POST /shacache HTTP/1.1\r\n{HOST}Content-Length: {length}\r\n\r\n")
        answer = wire.answer()
        assert answer.status == 507 and answer.line.startswith("the store has no room for "), answer
        assert answer.line.endswith(": tell its operator, and send it again later"), answer


# Request.declaredLength throws lengthRequired.
@pytest.mark.parametrize("method, target", [("POST", "/shacache"), ("PUT", "/shadir/framing")])
def test_an_upload_without_length_is_411_and_the_connection_goes_on(stack, method, target):
    with Wire(stack) as wire:
        answer = wire.request(method, target)
        assert answer.status == 411 and "Content-Length" in answer.line, answer
        assert wire.is_open()


def test_a_length_of_nothing_is_a_blob_of_nothing(stack):
    with Wire(stack) as wire:
        answer = wire.request("POST", "/shacache", b"")
        assert (answer.status, answer.body) == (201, sha512(b"").encode())
        answer = wire.request("GET", f"/shacache/{sha512(b'')}")
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")


def in_chunks(data, size):
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


# A small one, and one of more than nginx's buffer.
@pytest.mark.parametrize("length, size", [(0, 1), (20, 7), (LARGE, 65_521)])
def test_a_blob_in_chunks_is_stored_and_the_connection_goes_on(cache, length, size):
    data = os.urandom(length)
    with Wire(cache) as wire:
        wire.send(f"POST /shacache HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n".encode())
        wire.send(in_chunks(data, size))
        answer = wire.answer()
        assert (answer.status, answer.body) == (201, sha512(data).encode())
        assert wire.request("GET", f"/shacache/{sha512(data)}").body == data


def test_extensions_and_trailers_of_chunks_are_not_part_of_the_blob(stack):
    data = os.urandom(16)
    with Wire(stack) as wire:
        wire.send(f"POST /shacache HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n10;name=value\r\n".encode())
        wire.send(data + b"\r\n0\r\nTrailer: value\r\n\r\n")
        answer = wire.answer()
        assert (answer.status, answer.body) == (201, sha512(data).encode())
        assert wire.is_open()


# Service.checkChunks: nginx would receive such a body without end. Every client says how long an entry is.
def test_an_entry_in_chunks_is_refused_before_it_comes(stack):
    with Wire(stack) as wire:
        wire.send(f"PUT /shadir/chunks HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n")
        answer = wire.answer("PUT")
    assert (answer.status, answer.line) == (411, "an entry needs a Content-Length")


# nginx passes a request on only when its body is complete; sweeping is for what a killed nginx leaves.
@pytest.mark.parametrize("half_closed", [False, True], ids=["closed", "half closed"])
@pytest.mark.parametrize("length", [1000, LARGE])
@pytest.mark.parametrize("framing", ["Content-Length", "chunks"])
def test_a_body_that_is_cut_leaves_nothing(stack, framing, length, half_closed):
    data = os.urandom(length)
    with Wire(stack) as wire:
        if framing == "chunks":
            wire.send(f"POST /shacache HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n")
        else:
            wire.send(f"POST /shacache HTTP/1.1\r\n{HOST}Content-Length: {length}\r\n\r\n")
        wire.send(data[: length // 2])
        eventually(lambda: length < LARGE or spool(stack))
        if half_closed:
            wire.socket.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                assert b"201" not in wire.rest()
    eventually(lambda: not spool(stack))
    for stored in (data, data[: length // 2]):
        assert not stack.blob_file(sha512(stored)).exists()


@pytest.mark.parametrize("length", [1000, LARGE])
def test_a_client_that_expects_100_is_told_to_continue(stack, length):
    data = os.urandom(length)
    with Wire(stack) as wire:
        wire.send(f"POST /shacache HTTP/1.1\r\n{HOST}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n")
        assert wire.answer().status == 100
        wire.send(data)
        answer = wire.answer()
        assert (answer.status, answer.body) == (201, sha512(data).encode())
        assert wire.is_open()


# admission.conf: without auth_request the body would be received first.
def test_a_client_that_waits_before_it_sends_a_large_body_is_refused_without_sending_it(closed):
    with Wire(closed) as wire:
        wire.send(f"POST /shacache HTTP/1.1\r\n{HOST}Expect: 100-continue\r\nContent-Length: {LARGE}\r\n\r\n")
        answer = wire.answer()
        if answer.status == 100:  # nginx says it also when it is about to throw the body away
            answer = wire.answer()
        assert answer.status == 403 and answer.line, answer


def test_http_1_0_is_answered_and_the_connection_ends(cache):
    data = os.urandom(100)
    with Wire(cache) as wire:
        wire.send(b"POST /shacache HTTP/1.0\r\nContent-Length: 100\r\n\r\n" + data)
        answer = wire.answer()
        assert (answer.status, answer.body) == (201, sha512(data).encode())
        assert wire.rest() == b""
    with Wire(cache) as wire:
        wire.send(f"GET /shacache/{sha512(data)} HTTP/1.0\r\n\r\n")
        answer = wire.answer()
        assert (answer.status, answer.body, answer.headers["connection"]) == (200, data, "close")
        assert wire.rest() == b""


def test_http_1_0_may_keep_the_connection(cache):
    digest = cache.upload(b"kept alive")
    with Wire(cache) as wire:
        for _ in range(2):
            wire.send(f"GET /shacache/{digest} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = wire.answer()
            assert (answer.body, answer.headers["connection"]) == (b"kept alive", "keep-alive")


REFUSED_READS = {
    "no such blob": ("GET", "/shacache/" + "0" * 128, {}, 404),
    "nothing there": ("GET", "/nowhere", {}, 404),
    "no such key": ("GET", "/shadir/absent", {}, 404),
    "a malformed key": ("GET", "/shadir/a%0Ab", {}, 400),
    "no listing": ("GET", "/shacache/", {}, 405),
    "no withdrawing": ("DELETE", "/shadir/absent", {}, 403),
    "nginx's own": ("GET", "/-/error", {}, 404),
    "a failed condition": ("GET", f"/shacache/{sha512(b'kept alive')}", {"If-Match": '"x"'}, 412),
    "a range outside": ("GET", f"/shacache/{sha512(b'kept alive')}", {"Range": "bytes=10-"}, 416),
}


@pytest.mark.parametrize("method, target, headers, status", REFUSED_READS.values(), ids=REFUSED_READS)
def test_a_connection_survives_a_refused_read(cache, method, target, headers, status):
    cache.upload(b"kept alive")
    with Wire(cache) as wire:
        for _ in range(2):
            assert wire.request(method, target, headers=headers.items()).status == status
        assert wire.request("GET", f"/shacache/{sha512(b'kept alive')}").body == b"kept alive"


REFUSED_UPLOADS = {
    "under another's name": ("stack", "PUT", "/shacache/" + "0" * 128, 400),
    "no entry": ("stack", "PUT", "/shadir/refused", {1000: 400, LARGE: 413}),
    "a malformed key": ("stack", "PUT", "/shadir/a%0Ab", 400),
    "nowhere": ("stack", "POST", "/nowhere", 404),
    "not there": ("stack", "POST", "/shadir/refused", 405),
    "no identity": ("closed", "POST", "/shacache", 403),
}


# @not_admitted turns a worker's verdict into the answer.
@pytest.mark.parametrize("length", [1000, LARGE])
@pytest.mark.parametrize("which, method, target, status", REFUSED_UPLOADS.values(), ids=REFUSED_UPLOADS)
def test_a_connection_survives_a_refused_upload(request, which, method, target, status, length):
    cache = request.getfixturevalue(which)
    with Wire(cache) as wire:
        for _ in range(2):
            answer = wire.request(method, target, os.urandom(length))
            assert answer.status == (status[length] if isinstance(status, dict) else status), answer
            assert answer.line
            assert answer.headers.get("allow") == ("GET, HEAD, PUT, DELETE, OPTIONS" if answer.status == 405 else None)
        assert wire.is_open()
    eventually(lambda: not spool(cache))


# The deployed clients say `Connection: close` and send the whole body before they read.
@pytest.mark.parametrize("over_tls", [False, True], ids=["HTTP", "TLS"])
@pytest.mark.parametrize("length", [1000, 20_000_000])
def test_a_client_that_closes_gets_the_reason_although_its_body_was_not_wanted(closed, length, over_tls):
    with Wire(closed, closed.tls(certificate=False) if over_tls else None) as wire:
        answer = wire.request("POST", "/shacache", bytes(length), [("Connection", "close")])
        assert answer.status == 403 and "certificate" in answer.line, answer
        assert wire.rest() == b""


def test_pipelined_requests_are_answered_in_their_order(cache):
    data = [os.urandom(size) for size in (10, 100_000, 0, 1000)]
    with Wire(cache) as wire:
        for blob in data:
            wire.send(f"POST /shacache HTTP/1.1\r\n{HOST}Content-Length: {len(blob)}\r\n\r\n".encode() + blob)
            wire.send(f"GET /shacache/{sha512(blob)} HTTP/1.1\r\n{HOST}\r\n")
        for blob in data:
            assert wire.answer().body == sha512(blob).encode()
            assert wire.answer().body == blob
        assert wire.is_open()


NEEDLESS = [
    ("GET", f"/shacache/{sha512(b'kept alive')}"),
    ("GET", "/shadir/absent"),
    ("GET", "/shacache/0123"),
    ("HEAD", f"/shacache/{sha512(b'kept alive')}"),
    ("DELETE", "/shadir/absent"),
    ("OPTIONS", "/nowhere"),
    ("GET", "/-/ready"),
    ("PATCH", "/"),
]


# $shacache_needless_body: nginx would receive it into the spool, for anybody.
@pytest.mark.parametrize("method, target", NEEDLESS)
@pytest.mark.parametrize("framing", [f"Content-Length: {LARGE}\r\n", "Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("range_", ["", "Range: bytes=5-\r\n"], ids=["whole", "range"])
def test_a_body_that_nobody_reads_is_refused_and_never_kept(cache, method, target, framing, range_):
    cache.upload(b"kept alive")
    eventually(lambda: not spool(cache))
    with Wire(cache, timeout=5) as wire:
        wire.send(f"{method} {target} HTTP/1.1\r\n{HOST}{range_}{framing}\r\n")
        wire.send(b"%x\r\n" % LARGE if "chunked" in framing else b"")
        wire.send(bytes(LARGE - 1))
        answer = wire.answer(method)
        assert answer.status == 413, answer
        assert answer.headers["content-length"] == "0" if range_ else method == "HEAD" or answer.line
        assert not spool(cache)
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("method, target", NEEDLESS)
def test_a_body_of_nothing_is_no_body(cache, method, target):
    cache.upload(b"kept alive")
    with Wire(cache) as wire:
        for body in (None, b"", None):
            assert wire.request(method, target, body).status != 413
        assert wire.is_open()


# $shacache_upload: of those whom no worker can know, nothing is received before one was asked.
@pytest.mark.parametrize("over_tls", [False, True], ids=["HTTP", "TLS"])
@pytest.mark.parametrize("method, target", [("POST", "/shacache"), ("PUT", "/shadir/x"), ("PUT", "/nowhere")])
def test_a_small_body_of_a_stranger_is_never_kept(closed, over_tls, method, target):
    eventually(lambda: not spool(closed))
    with Wire(closed, closed.tls(certificate=False) if over_tls else None, timeout=5) as wire:
        wire.send(f"{method} {target} HTTP/1.1\r\n{HOST}Content-Length: 999999\r\n\r\n".encode() + bytes(500_000))
        answer = wire.answer()
        assert answer.status in (403, 404) and answer.line, answer
        assert not spool(closed)
        wire.send(bytes(499_999))
        assert wire.is_open()


# The deployed clients ask for a blob before they upload it, and close without reading the answer.
def test_a_download_that_is_aborted_is_no_error(cache):
    digest = cache.upload(os.urandom(8_000_000))
    logs = [file for file in (cache.state / "log").iterdir() if file.name.startswith(("worker", "nginx-error"))]
    before = [file.read_bytes() for file in logs]
    for wanted in (0, 100, 1_000_000):
        for linger in (struct.pack("ii", 0, 0), struct.pack("ii", 1, 0)):  # an ordinary close, and a reset
            with Wire(cache) as wire:
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                wire.send(f"GET /shacache/{digest} HTTP/1.1\r\n{HOST}\r\n")
                while wanted > 0:
                    wanted -= len(wire.socket.recv(65536))
    with Wire(cache) as wire:
        assert sha512(wire.request("GET", f"/shacache/{digest}").body) == digest
    assert [file.read_bytes() for file in logs] == before
