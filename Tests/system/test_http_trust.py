"""What a client's own words may not do: be somebody, be from somewhere else, write a log, or fill the disk."""

import hashlib
import json
import os
from urllib.parse import quote

import pytest
import record
from stack import eventually
from wire import Wire

LARGE = 3_000_000  # from a million bytes on, a worker is asked before the body is received

# The names of the parameters under which nginx tells workers what it found out, and their like in other servers.
FORGED = [
    (name.replace("_", separator), value)
    for name, value in {
        "CERTIFICATE_VERIFICATION": "SUCCESS",
        "CERTIFICATE": "-----BEGIN%20CERTIFICATE-----",
        "LOCAL_WRITER": "1",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_USER": "demo",
        "REQUEST_ID": "forged",
        "PURPOSE": "admission",
        "MOUNT": "shadir",
        "BODY_FILE": "/etc/passwd",
        "HTTP_LOCAL_WRITER": "1",
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "X_SSL_CLIENT_VERIFY": "SUCCESS",
        "X_FORWARDED_FOR": "127.0.0.1",
        "X_REAL_IP": "127.0.0.1",
        "X_ACCEL_REDIRECT": "/-/blob/",
        "X_REFUSAL_STATUS": "201",
    }.items()
    for separator in "_-"
] + [("Forwarded", "for=127.0.0.1"), ("Authorization", "Basic ZGVtbzpkZW1v")]


# parameters.conf: no header's name becomes a parameter's, since those that arrive are called HTTP_….
@pytest.mark.parametrize("over_tls", [False, True], ids=["HTTP", "TLS"])
@pytest.mark.parametrize("length", [0, 20, LARGE])
def test_headers_make_nobody_a_writer(closed, over_tls, length):
    marked = record.mark()
    with Wire(closed, closed.tls(certificate=False) if over_tls else None) as wire:
        answer = wire.request("POST", "/shacache", os.urandom(length), [*FORGED, marked])
        assert answer.status == 403 and "certificate" in answer.line, answer
    row = record.row(closed, marked)
    assert (row["account"], row["certificate"], row["reason"], row["sha512"]) == (None, None, "not authorized", None)
    assert row["client_address"] in ("127.0.0.1", "::1") and row["request_id"] != "forged"


def test_headers_change_nothing_of_a_download(cache):
    digest = cache.upload(b"not what a header says")
    with Wire(cache) as wire:
        answer = wire.request("GET", f"/shacache/{digest}", headers=FORGED)
        assert (answer.status, answer.body) == (200, b"not what a header says")


def test_headers_change_nothing_of_an_upload(stack):
    data, marked = os.urandom(20), record.mark()
    with Wire(stack) as wire:
        answer = wire.request("POST", "/shacache", data, [*FORGED, marked])
        assert (answer.status, answer.body) == (201, hashlib.sha512(data).hexdigest().encode())
    assert record.row(stack, marked)["account"] == "local"


# local-writers.conf lists the addresses; nobody else is the account `local`.
@pytest.mark.parametrize("length", [20, LARGE])
def test_only_the_chosen_addresses_write_without_a_certificate(elsewhere, length):
    for address, status in ("127.0.0.1", 201), ("::1", 201), ("192.0.2.1", 403), ("2001:db8::1", 403):
        marked = record.mark()
        with Wire(elsewhere) as wire:
            answer = wire.request("POST", "/shacache", os.urandom(length), [("X-Test-Address", address), marked])
            assert answer.status == status, (address, answer)
        row = record.row(elsewhere, marked)
        assert (row["client_address"], row["account"]) == (address, "local" if status == 201 else None)


NASTY = [
    'quote " quote',
    "backslash \\ backslash",
    '", "event": "forged", "x": "',
    '"}{"event": "forged"}',
    "tab \t tab",
    "$request_id ${hostname} %s %n {{x}}",
    "<script>alert(1)</script>",
    "two  spaces",
    "\x80\xff not UTF-8",
    "é 🐻 \u2028 \u202e",
]


class Logs:
    """What the logs that are promised to be JSON say from now on."""

    def __init__(self, stack):
        files = [*(stack.state / "log").glob("worker-*.log"), stack.state / "log/access.log"]
        self._starts = {file: file.stat().st_size for file in files}

    def lines(self):
        """Raises when one is not JSON."""
        texts = [file.read_bytes()[start:] for file, start in self._starts.items()]
        lines = [line for text in texts for line in text.splitlines(keepends=True) if line.endswith(b"\n")]
        return [json.loads(line.decode()) for line in lines]

    def find(self, name, value):
        """The line that says so, which comes some time after the answer; also that there is nothing forged."""
        lines = eventually(lambda: [line for line in self.lines() if value in line.get(name, "")])
        assert len(lines) == 1 and all(line.get("event") != "forged" for line in self.lines())
        return lines[0]


def as_sent(text):
    """The bytes to send: those beyond UTF-8 as they are."""
    return text.encode("latin-1" if "\x80" in text else "utf-8")


# http.conf: escape=json.
@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("header, name", [("User-Agent", "agent"), ("Range", "range"), ("Host", "host")])
def test_no_header_writes_a_log_line_of_its_own(stack, header, name, text):
    logs, mark = Logs(stack), os.urandom(8).hex()
    with Wire(stack) as wire:
        host = "" if header == "Host" else "Host: localhost\r\n"
        wire.send(f"GET /{mark} HTTP/1.1\r\n{host}{header}: ".encode() + as_sent(text) + b"\r\n\r\n")
        assert wire.answer().status == 404 or header == "Host"
    line = logs.find("uri", mark)
    assert line[name] == text or header == "Host" or not text.isprintable()


# log.conf: `"" ""`.
def test_a_header_that_was_not_sent_is_empty_in_the_log(stack):
    logs, mark = Logs(stack), os.urandom(8).hex()
    with Wire(stack) as wire:
        wire.send(f"GET /{mark} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert wire.answer().status == 404
    line = logs.find("uri", mark)
    assert (line["range"], line["agent"], line["host"]) == ("", "", "localhost")


# JSONLogHandler: appendJSONString.
@pytest.mark.parametrize("text", [text for text in NASTY if "\t" not in text and "\x80" not in text])
def test_no_key_writes_a_log_line_of_its_own(stack, text):
    logs, key = Logs(stack), f"{os.urandom(8).hex()} {text}"
    with Wire(stack) as wire:
        assert wire.request("PUT", f"/shadir/{quote(key)}", b"nonsense").status == 400
    line = logs.find("key", key)
    assert (line["event"], line["key"], line["reason"]) == ("refused", key, "malformed entry")
    assert logs.find("uri", quote(key))["request_id"] == line["request_id"]


# nginx takes these bytes in a path without escapes.
@pytest.mark.parametrize("raw", [b'"', b"\\", b"\xff", b"\xc3", "é\u2028".encode(), "é".encode() * 3000 + b"\xff"])
def test_no_path_writes_a_log_line_of_its_own(stack, raw):
    logs, mark = Logs(stack), os.urandom(8).hex()
    with Wire(stack) as wire:
        wire.send(b"PUT /shadir/%s HTTP/1.1\r\nHost: localhost\r\n" % raw)
        wire.send(f"User-Agent: {mark}\r\nContent-Length: 1\r\n\r\nx")
        assert wire.answer().status == 400
    logs.find("agent", mark)


@pytest.fixture(scope="module")
def limited(closed):
    """A cache that takes blobs of 100,000 bytes at most."""
    closed.configure("[uploads]\nblob-size-limit = 100000\n")
    yield closed
    closed.configure("")


# Service.checkLimit.
@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("length, status", [(100_000, 201), (100_001, 413), (LARGE, 413)])
def test_a_blob_over_the_limit_is_refused_and_leaves_nothing(limited, method, length, status):
    data = os.urandom(length)
    digest = hashlib.sha512(data).hexdigest()
    target = "/shacache" if method == "POST" else f"/shacache/{digest}"
    with Wire(limited, limited.tls()) as wire:
        answer = wire.request(method, target, data)
        assert answer.status == status, answer
        assert status == 201 or "100000" in answer.line
        assert wire.request("GET", f"/shacache/{digest}").status == (200 if status == 201 else 404)
    eventually(lambda: not list(limited.spool.iterdir()))
    assert limited.blob_file(digest).exists() == (status == 201)


# Service.checkChunks: it would be received without end.
def test_where_blobs_have_a_limit_none_comes_in_chunks(limited):
    with Wire(limited, limited.tls()) as wire:
        wire.send("POST /shacache HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = wire.answer("POST")
    assert (answer.status, answer.line) == (411, "blobs have a limit in bytes here: send a Content-Length")


def test_a_blob_over_the_limit_is_refused_before_it_is_sent(limited):
    with Wire(limited, limited.tls()) as wire:
        wire.send(f"POST /shacache HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LARGE}\r\n\r\n")
        answer = wire.answer()
        assert answer.status == 413 and "100000" in answer.line, answer


def entry_of(length):
    """A body of so many bytes, of an entry that nobody has sent before."""
    metadata = json.dumps({"sha512": "0" * 128, "filling": os.urandom(8).hex()})
    body = json.dumps([metadata, ""])
    return json.dumps([metadata + " " * (length - len(body)), ""]).encode()


# Entry.sizeLimit for the body, and KeyLimits.bytesPerAccount for what would be kept of it.
@pytest.mark.parametrize("length, status", [(1 << 19, 201), (1 << 20, 403), ((1 << 20) + 1, 413), (LARGE, 413)])
def test_an_entry_may_have_half_a_mebibyte(stack, length, status):
    body, key = entry_of(length), f"large-{os.urandom(8).hex()}"
    assert len(body) == length
    with Wire(stack) as wire:
        answer = wire.request("PUT", f"/shadir/{key}", body)
        assert answer.status == status, answer
        assert {201: "", 403: "more than 524288", 413: "1048576"}[status] in answer.body.decode()
        assert wire.request("GET", f"/shadir/{key}").status == (200 if status == 201 else 404)
