"""What an origin answers that isn't its file, and it is neither delivered nor signed."""

import os
import ssl
import subprocess
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from certificates import self_signed
from deployed import new_key
from impostor import Impostor, reply
from node import CLEAN, DONE, FAILED, SHACACHE, UNREACHABLE, assert_ended

DATA = b"0123456789"
ETAG = {"ETag": '"1"'}


@pytest.fixture
def origin():
    with Impostor() as origin:
        yield origin


def fetches(node, url):
    """Each way to fetch and sign it: words, and whether it lands in `out`."""
    old = node.run_as("networkcache-upload", "-u", f"{url}?old"), None
    return [old, *((node.run(*words, "-v", "--retries", "0"), output) for words, output in [
        (["upload", "--url", url], None), (["upload", url], None),
        (["download", "-k", new_key(), "--origin", url, "-o", "out"], "out"),
        (["download", "--url", url, "--origin", url, "--upload-on-miss"], "-")])]


def assert_refused(node, url, says):
    for done, output in fetches(node, url):
        assert done.returncode == (1 if done.args[0] == "networkcache-upload" else FAILED), done
        assert says in done.stderr.decode() and done.stdout == b"", done
        assert not (node.directory / "out").exists()


def nothing_stored(impostor):
    """The cache was asked for it, and has got nothing."""
    return not impostor.blobs and not impostor.asked("PUT")


# Head.part(from:), also of an answer without a body.
@pytest.mark.parametrize("status, body", [
    (201, DATA), (202, DATA), (203, DATA), (204, b""), (205, b""), (206, DATA), (207, DATA), (226, DATA), (202, b"")])
def test_only_200_is_the_file(deceived, impostor, origin, status, body):
    headers = {"Content-Range": "bytes 0-9/10"} if status == 206 else {}
    origin.answer = lambda handler: reply(handler, status, body, headers)
    assert_refused(deceived, f"{origin.url}/a", f"answers {status}: ")
    assert nothing_stored(impostor)


def cutting(headers, *rest, cut=5):
    """Half of it and no more; then what `rest` has, in its order: status, body, headers."""
    answers = [(200, DATA[:cut], headers, len(DATA)), *((*answer, None) for answer in rest)]

    def answer(handler):
        status, body, headers, length = answers.pop(0)
        return reply(handler, status, body, headers, length=length)
    return answer


def part(start, end, size=10, **headers):
    return 206, DATA[start:end], {**ETAG, "Content-Range": f"bytes {start}-{end - 1}/{size}", **headers}


# Origin.Visit: the rest of the same file is taken, in several parts too; of another one, all is fetched anew.
@pytest.mark.parametrize("answers", [
    [part(5, 10)], [part(5, 7), part(7, 10)], [part(5, 10, "*")], [part(5, 7, "*"), part(7, 10, "*")],
    [(200, DATA, {"ETag": '"2"'}), (200, DATA, {"ETag": '"2"'})],
    [part(5, 10, 11), (200, DATA, ETAG)], [(206, b"other", {"ETag": '"2"', "Content-Range": "bytes 5-9/10"}), (200, DATA, ETAG)]])
def test_what_was_cut_off_becomes_whole(deceived, impostor, origin, answers):
    origin.answer = cutting(ETAG, *answers)
    url = f"{origin.url}/a"
    assert_ended(deceived.run("download", "--url", url, "--origin", url, "--upload-on-miss", "-o", "out"), DONE)
    assert (deceived.directory / "out").read_bytes() == DATA and list(impostor.blobs.values()) == [DATA]


# Source.withFile: what readers have got already can't be taken back, so all of the upload begins anew.
def test_an_upload_begins_anew_when_its_origin_changes_meanwhile(deceived, impostor, origin):
    origin.answer = cutting(ETAG, (200, DATA, {"ETag": '"2"'}), (200, DATA, {"ETag": '"2"'}))
    assert_ended(deceived.run("upload", f"{origin.url}/a"), DONE)
    assert list(impostor.blobs.values()) == [DATA]


# Part, and the count of its bytes in Session.getFile.
@pytest.mark.parametrize("answer, says", [
    (part(4, 10), "wasn't asked for"), (part(6, 10), "wasn't asked for"), ((206, DATA[5:], ETAG), "without Content-Range"),
    ((206, DATA[5:9], {**ETAG, "Content-Range": "bytes 5-9/10"}), "and Content-Length: 4"),
    ((206, DATA[5:], {**ETAG, "Content-Range": "bytes 9-5/10"}), "Content-Range: bytes 9-5/10"),
    ((206, DATA[5:], {**ETAG, "Content-Type": "multipart/byteranges; boundary=a"}), "without Content-Range"),
    ((206, b"2\r\n56\r\n0\r\n\r\n", {**ETAG, "Content-Range": "bytes 5-9/10", "Transfer-Encoding": "chunked"}), "7 of 10"),
    ((206, b"6\r\n567890\r\n0\r\n\r\n", {**ETAG, "Content-Range": "bytes 5-9/10", "Transfer-Encoding": "chunked"}), "more than"),
    ((202, DATA[5:], ETAG), "answers 202"), ((416, b"", {"Content-Range": "bytes */7"}), "416")])
def test_a_part_that_does_not_fit_is_refused(deceived, impostor, origin, answer, says):
    url = f"{origin.url}/a"
    origin.answer = cutting(ETAG, answer, (404, b"", {}), (404, b"", {}))
    done = deceived.run("download", "--url", url, "--origin", url, "--upload-on-miss", "-o", "out", "-v")
    assert done.returncode == FAILED and says in done.stderr.decode(), done
    assert nothing_stored(impostor) and not (deceived.directory / "out").exists()


# Origin.Visit.hasAll: the status decides, in libcurl 7.88 and 8.
def test_an_answer_without_a_length_that_breaks_at_its_end_is_whole(deceived, origin):
    answers = [
        (200, b"a\r\n0123456789\r\n", {**ETAG, "Transfer-Encoding": "chunked"}, 0), (416, b"", {"Content-Range": "bytes */10"}, None)]

    def answer(handler):
        status, body, headers, length = answers.pop(0)
        return reply(handler, status, body, headers, length=length)

    origin.answer = answer
    assert assert_ended(deceived.run("download", "-k", "a", "--origin", f"{origin.url}/a"), DONE).stdout == DATA


# Without a validator, nothing says that the rest is that of the same file (Head.validator).
@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"1"'}, {"Last-Modified": "Wed, 01 Jan 2070 00:00:00 GMT"}])
def test_without_a_validator_it_is_fetched_anew(deceived, origin, headers):
    origin.answer = cutting(headers, (200, DATA, headers))
    assert assert_ended(deceived.run("download", "-k", "a", "--origin", f"{origin.url}/a"), DONE).stdout == DATA
    assert [range for _, _, range in origin.requests] == [None, None]


# Head.foreignEncoding. A file that is compressed by itself is labelled so by some servers.
def test_bytes_that_are_encoded_for_the_way_are_refused(deceived, impostor, origin):
    origin.answer = lambda handler: reply(handler, 200, DATA, {"Content-Encoding": "gzip"}) if handler.headers.get(
        "Accept-Encoding") == "identity" else None
    assert_refused(deceived, f"{origin.url}/a.txt", "Content-Encoding: gzip")
    assert nothing_stored(impostor)
    for done, _ in fetches(deceived, f"{origin.url}/a.tar.gz"):
        assert_ended(done, DONE)


# Head.endsWithConnection
def test_an_answer_whose_end_nothing_shows_is_a_warning(deceived, impostor, origin):
    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(DATA)
        handler.close_connection = True
        return True

    origin.answer = answer
    assert_ended(deceived.run("upload", f"{origin.url}/a"), DONE, "says no length")
    assert_ended(deceived.run("upload", f"{origin.url}/a", "--strict"), FAILED, "says no length")


# The same of a cache: Cache.get, and Cache.answer for what is no file.
@pytest.mark.parametrize("status", [202, 203, 204, 206])
def test_only_200_is_a_blob_a_list_or_a_sign_that_a_blob_is_there(deceived, impostor, status):
    headers = {"Content-Range": "bytes 0-9/10"} if status == 206 else {}
    name = impostor.has(DATA)
    impostor.answer = lambda handler: handler.command in ("GET", "HEAD") and reply(
        handler, status, b"" if status == 204 else DATA, headers)
    assert_ended(deceived.run("download", "--sha512", name, "-o", "out"), UNREACHABLE, str(status))
    assert_ended(deceived.run("lookup", "-k", "a"), UNREACHABLE, str(status))
    (deceived.directory / "file").write_bytes(DATA)
    assert_ended(deceived.run("upload", "file"), UNREACHABLE, str(status))
    assert not (deceived.directory / "out").exists()


# Redirects


@pytest.fixture
def trusted(tmp_path):
    """A certificate of localhost, and the words that run a program on a machine that trusts its issuer: itself."""
    certificate, key = self_signed(tmp_path, "localhost", "EC", "-addext", "subjectAltName=DNS:localhost")
    system = "/etc/ssl/certs/ca-certificates.crt"
    # Another user makes itself root for that, which isn't possible in a chroot.
    alone = ["unshare", "-m" if os.geteuid() == 0 else "-rm"]
    return certificate, key, [*alone, "sh", "-c", f'mount --bind {certificate} {system} && exec "$@"', "-"]


class Chain:
    """Servers that redirect from one to the next, each by its scheme; the last one has the file."""

    def __init__(self, schemes, certificate, key):
        self._schemes, self._certificate, self._key = schemes, certificate, key
        self.plain = 0  # requests that came unprotected

    def __enter__(self):
        with ExitStack() as stack:
            target = None
            for scheme in reversed(self._schemes):
                server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(scheme, target))
                if scheme == "https":
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(self._certificate, self._key)
                    server.socket = context.wrap_socket(server.socket, server_side=True)
                threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
                stack.callback(server.server_close)
                stack.callback(server.shutdown)
                target = f"{scheme}://localhost:{server.server_port}/a?token=t"
            self.url = target.partition("?")[0]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _handler(self, scheme, target):
        chain = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                chain.plain += scheme == "http"
                reply(self, *((302, b"", {"Location": target}) if target else (200, DATA)))

        return Handler


# Request.redirectSchemes, at each hop: an http URL promises nothing that a later hop could break.
@pytest.mark.parametrize("schemes, taken", [
    ("https https", True), ("https http", False), ("https https http", False), ("https http https", False),
    ("http https", True), ("http https http", True)])
def test_an_https_origin_leads_to_no_other_scheme_unless_told(deceived, impostor, trusted, schemes, taken):
    certificate, key, prefix = trusted
    with Chain(schemes.split(), certificate, key) as chain:
        ways = [
            ["upload", "--url", chain.url], ["upload", chain.url],
            ["download", "-k", new_key(), "--origin", chain.url, "-o", "out"],
            ["download", "--url", chain.url, "--origin", chain.url, "--upload-on-miss", "-o", "out"]]
        for words in ways if schemes == "https http" else ways[:1]:
            impostor.blobs.clear()
            impostor.listings.clear()
            impostor.requests.clear()
            chain.plain = 0
            command = [*prefix, *deceived.command(*words)]

            def run(*more):
                return subprocess.run(
                    [*command, *more], cwd=deceived.directory, env=CLEAN, capture_output=True, timeout=60, text=True)

            done = run()
            assert done.returncode == (DONE if taken else FAILED), done
            if not taken:
                assert "redirects to http://localhost" in done.stderr and "token" not in done.stderr, done
                assert "--allow-insecure-redirect" in done.stderr and chain.plain == 0
                assert nothing_stored(impostor) and not (deceived.directory / "out").exists()
                assert_ended(run("--allow-insecure-redirect"), DONE)
            (deceived.directory / "out").unlink(missing_ok=True)


def test_the_old_name_follows_no_insecure_redirect(deceived, impostor, trusted):
    certificate, key, prefix = trusted
    with Chain(["https", "http"], certificate, key) as chain:
        command = [*prefix, "bash", "-c", f'exec -a networkcache-upload {SHACACHE} "$@"', "-"]
        done = subprocess.run(
            [*command, "-c", deceived.config, "-u", chain.url], cwd=deceived.directory, env=CLEAN, capture_output=True,
            timeout=60)
        assert_ended(done, 1, "redirects to http://localhost")
        assert nothing_stored(impostor) and chain.plain == 0


def test_a_redirect_to_another_protocol_is_refused(deceived, origin):
    origin.answer = lambda handler: reply(handler, 302, headers={"Location": "ftp://127.0.0.1/a"})
    assert_refused(deceived, f"{origin.url}/a", "redirects to ftp://127.0.0.1/a")
