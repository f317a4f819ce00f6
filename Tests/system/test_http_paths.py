"""What a path names: a blob, a key, or nothing; and that two keys are the same only when their bytes are."""

import hashlib
import json
import os

import pytest
from wire import Wire

DATA = b"what a path may name\n"
DIGEST = hashlib.sha512(DATA).hexdigest()


def ask(cache, target, method="GET", body=None, host="localhost", context=None):
    """One request, and another to see that the connection stands."""
    with Wire(cache, context) as wire:
        answer = wire.request(method, target, body, [("Host", host)])
        assert wire.is_open()
        return answer


BLOBS = [
    ("localhost", f"/shacache/{DIGEST}"),
    ("localhost", f"/shacache/{DIGEST.upper()}"),
    ("localhost", f"/shacache/{DIGEST}?query"),
    ("localhost", f"/shacache/%{ord(DIGEST[0]):x}{DIGEST[1:]}"),
    ("localhost", f"/shacache/cache/{DIGEST}"),
    ("localhost", f"http://localhost/shacache/{DIGEST}"),
    ("shacache.example.org", f"/{DIGEST}"),
    ("shacache.example.org", f"/{DIGEST.upper()}"),
    ("shacache.example.org:8080", f"/{DIGEST}"),
    ("ShaCache.Example.ORG", f"/{DIGEST}"),
    ("shacache.example.org.", f"/{DIGEST}"),
    ("shacache.local", f"/{DIGEST}"),
    ("shacache.example.org", f"/shacache/{DIGEST}"),
    ("localhost", f"http://shacache.example.org/{DIGEST}"),
    # What the request line says counts, not the header.
    ("shadir.example.org", f"http://shacache.example.org/{DIGEST}"),
]


# With a condition that holds, nginx asks itself again, and must ask for the same: ask-again.conf.
@pytest.mark.parametrize("host, target", BLOBS)
@pytest.mark.parametrize("condition", [None, "*"])
def test_a_path_that_names_a_blob(cache, host, target, condition):
    cache.upload(DATA)
    with Wire(cache) as wire:
        headers = [("Host", host)] + ([("If-Match", condition)] if condition else [])
        answer = wire.request("GET", target, headers=headers)
        assert wire.is_open()
    assert (answer.status, answer.body) == (200, DATA), answer


NO_BLOBS = [
    "//",
    "",
    f"/{DIGEST}",
    f"/{DIGEST[:2]}/{DIGEST}",
    f"/blobs/{DIGEST[:2]}/{DIGEST}",
    f"/-/blob/{DIGEST[:2]}/{DIGEST}",
    f"/-/blob-if/{DIGEST[:2]}/{DIGEST}",
    f"/-/blob/{DIGEST}",
    "/-/admission",
    "/-/error",
    "/-/",
    f"/shacache/{DIGEST}/",
    f"/shacache/{DIGEST[:-1]}",
    f"/shacache/{DIGEST}0",
    f"/shacache/{DIGEST[:-1]}g",
    f"/shacache/{DIGEST};a=b",
    f"/shacache/{DIGEST}%20",
    f"/shacache/{DIGEST}%0A",
    f"/shacache/{DIGEST}%3Fquery",
    f"/shacache//{DIGEST}",
    f"//shacache/{DIGEST}",
    f"/shacache/./{DIGEST}",
    f"/./shacache/{DIGEST}",
    f"/shacache/../shacache/{DIGEST}",
    f"/shacache/%2e%2e/shacache/{DIGEST}",
    f"/shacache/..%2F{DIGEST}",
    f"/shacache/x/../{DIGEST}",
    f"/shacache/cache/../{DIGEST}",
    f"/shacache/dir/../{DIGEST}",
    f"/shacache/{DIGEST}/../{DIGEST}",
    f"/shacache%2F{DIGEST}",
    f"/%73hacache/{DIGEST}",
    f"/SHACACHE/{DIGEST}",
    f"/shacachex/{DIGEST}",
    f"/shacache;x/{DIGEST}",
    f"/shadir/../shacache/{DIGEST}",
    f"/shadir/x/../../shacache/{DIGEST}",
    f"/shadir/%2e%2e/shacache/{DIGEST}",
    f"/shadir/..%2Fshacache%2F{DIGEST}",
    f"/shacache/../-/blob/{DIGEST[:2]}/{DIGEST}",
    f"/shacache/{DIGEST[:2]}/{DIGEST}",
    "/shacache/../../../../../etc/passwd",
    "/shacache/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/shacache/%2e%2e/%2e%2e/etc/passwd",
    "/shacache/....//....//etc/passwd",
    "/incoming/",
    "/blobs/",
    "/index.html",
    "/.git/config",
    f"/shacache/{DIGEST}#fragment",
    f"http://shadir.example.org/{DIGEST}",
    f"http://localhost/{DIGEST}",
]


# Route reads the path as it was sent; nginx's own idea of it (`$uri`) decides nothing.
@pytest.mark.parametrize("target", NO_BLOBS)
def test_a_path_that_names_no_blob(cache, target):
    cache.upload(DATA)
    with Wire(cache) as wire:
        answer = wire.request("GET", target)
        assert answer.status in (400, 404, 405), answer
        assert (answer.body == b"" or answer.line) and DATA not in answer.body and b"root:" not in answer.body


@pytest.mark.parametrize("path", ["/shacache", "/shacache/", "/shacache/cache", "/shacache/cache/"])
@pytest.mark.parametrize("host", ["localhost", "shacache.example.org", "cache.example.org"])
def test_blobs_are_posted_with_a_slash_or_without_and_never_redirected(stack, host, path):
    data = os.urandom(20)
    answer = ask(stack, path, "POST", data, host)
    assert (answer.status, answer.body) == (201, hashlib.sha512(data).hexdigest().encode())


@pytest.mark.parametrize("path", ["/", "http://shacache.example.org", "http://shacache.example.org/"])
def test_blobs_are_posted_to_the_root_of_their_own_host(stack, path):
    data = os.urandom(20)
    answer = ask(stack, path, "POST", data, "shacache.example.org")
    assert (answer.status, answer.body) == (201, hashlib.sha512(data).hexdigest().encode())
    assert ask(stack, path, "POST", data, "shadir.example.org").status == (400 if path == "/" else 201)


def entry(mark):
    return json.dumps([json.dumps({"sha512": DIGEST, "mark": mark}), ""]).encode()


def marks(answer):
    return [json.loads(metadata)["mark"] for metadata, _ in json.loads(answer.body)] if answer.status == 200 else []


# Each is another key. In the path `?` and `#` need an escape, the others are sent as they are.
KEYS = [
    "a/b", "a//b", "a/b/", "a/./b", "a/../b", "/a/b", "a%5Cb", "a%252Fb", "A/b", "a/B",
    "a+b", "a%20b", "a%2520b", "a%2Bb%20", "a+%20", "a%20%20", "ab",
    "%C3%A9", "e%CC%81", "%C3%89", "%EF%AC%81", "fi", "%E2%80%8B", "%E2%80%8Bx",
    "a;b", "a;b=c", "a,b", "a=b", "a==b", "a&b", "a:b", "<a>", "a'b", "a%22b", "a|b", "a%3Fb", "a%23b", "a*b", "a$b",
    "a..b", "...", "..a", "a..", "x/..", "x/.", "%2E%2E%2Fx", "%5B%5D", "(a)", "~", "a%25", "%25zz",
    "pypi:slapos.core=1.2.3", "pypi:x>=1,<2", "file-urlmd5:d41d8cd98f00b204e9800998ecf8427e",
    "http://example.org/a%3Fb", "%F0%9F%90%BB", "shacache/x", "shadir/x", "cache/x", "-/live",
]  # fmt: skip


# Route and Key: one decoding, no merging, no normalising, no folding.
def test_odd_keys_are_kept_apart_byte_for_byte(stack):
    prefix = f"odd-{os.urandom(8).hex()}:"
    for key in KEYS:
        answer = ask(stack, f"/shadir/{prefix}{key}", "PUT", entry(key))
        assert answer.status == 201, (key, answer)
    found = {key: marks(ask(stack, f"/shadir/{prefix}{key}")) for key in KEYS}
    assert found == {key: [key] for key in KEYS}


# Path, host and how the same key is written there.
SAME = [
    ("/shadir/", "localhost", "a%2Fb%2F%2F+%3D"),
    ("/shadir/", "localhost", "%61/b//%2b="),
    ("/shadir/", "localhost", "a/b//+=?query"),
    ("/shacache/dir/", "localhost", "a/b//+="),
    ("/", "shadir.example.org", "a/b//+="),
    ("/shadir/", "shacache.example.org", "a/b//+="),
    ("/shacache/dir/", "shacache.example.org", "a/b//+="),
    ("http://localhost/shadir/", "localhost", "a/b//+="),
    ("http://shadir.example.org/", "localhost", "a/b//+="),
]


@pytest.mark.parametrize("path, host, written", SAME)
def test_a_key_is_the_same_however_it_is_written(stack, path, host, written):
    prefix = f"same-{os.urandom(8).hex()}:"
    assert ask(stack, f"/shadir/{prefix}a/b//+=", "PUT", entry("first")).status == 201
    assert ask(stack, f"{path}{prefix}{written}", "PUT", entry("second"), host).status == 201
    assert marks(ask(stack, f"{path}{prefix}{written}", host=host)) == ["first", "second"]
    assert marks(ask(stack, f"/shadir/{prefix}a/b//+=")) == ["first", "second"]


def test_a_key_in_raw_utf_8_is_the_same_as_escaped(stack):
    prefix = f"raw-{os.urandom(8).hex()}:"
    assert ask(stack, f"/shadir/{prefix}é", "PUT", entry("raw")).status == 201
    assert marks(ask(stack, f"/shadir/{prefix}%c3%A9")) == ["raw"]


def test_on_the_keys_own_host_everything_is_a_key(stack):
    names = [f"{path}-{os.urandom(4).hex()}" for path in (f"shacache/{DIGEST}", "shadir/x", "shacache/dir/x")]
    for name in [*names, "-/live", "-/ready"]:
        assert ask(stack, f"/{name}", "PUT", entry(name), "shadir.example.org").status == 201
        assert marks(ask(stack, f"/shadir/{name}")) == [name]
        assert marks(ask(stack, f"/{name}", host="shadir.example.org")) == [name]


# $shacache_health reads the path as it was sent.
@pytest.mark.parametrize("key", ["../-/live", "..%2F-/ready", "x/../../-/live", "-/../../-/live"])
def test_a_key_that_nginx_would_read_as_health_is_a_key(stack, key):
    assert ask(stack, f"/shadir/{key}", "PUT", entry(key)).status == 201
    assert marks(ask(stack, f"/shadir/{key}")) == [key]


@pytest.mark.parametrize(
    "key, reason",
    [
        ("", "empty"),
        (".", "names no entry"),
        ("..", "names no entry"),
        ("%2E%2e", "names no entry"),
        ("a%09b", "control character"),
        ("a%0D%0Ab", "control character"),
        ("a%1Bb", "control character"),
        ("a%7Fb", "control character"),
        ("a%C2%85b", "control character"),
        ("%FF", "UTF-8"),
        ("%C3", "UTF-8"),
        ("%C0%AF", "UTF-8"),
        ("%ED%A0%80", "UTF-8"),
        ("%F4%90%80%80", "UTF-8"),
        ("x" * 1025, "1025 bytes"),
        ("é" * 512 + "x", "1025 bytes"),
        ("%C3%A9" * 512 + "%78", "1025 bytes"),
    ],
)
def test_a_key_that_can_not_be_is_refused_with_the_reason(stack, key, reason):
    for method, body in ("GET", None), ("PUT", entry("refused")):
        answer = ask(stack, f"/shadir/{key}", method, body)
        assert answer.status == 400 and reason in answer.line, answer


@pytest.mark.parametrize("key", ["x" * 1000, "%C3%A9" * 500])
def test_a_key_may_have_1024_bytes_however_many_its_escapes_take(stack, key):
    key += f"{os.urandom(12).hex()}"
    assert ask(stack, f"/shadir/{key}", "PUT", entry("long")).status == 201
    assert marks(ask(stack, f"/shadir/{key}")) == ["long"]


@pytest.mark.parametrize("line", ["live", "ready"])
def test_health_is_told_to_this_machine_and_its_monitors_alone(elsewhere, line):
    answer = ask(elsewhere, f"/-/{line}")
    assert (answer.status, answer.body, answer.headers["cache-control"]) == (200, f"{line}\n".encode(), "no-store")
    for address in "127.0.0.2", "::1", "192.0.2.7", "192.0.2.1", "2001:db8::1", "10.0.0.1":
        with Wire(elsewhere) as wire:
            answer = wire.request("GET", f"/-/{line}", headers=[("X-Test-Address", address)])
            assert answer.status == (200 if address in ("127.0.0.2", "::1", "192.0.2.7") else 403), (address, answer)
            assert answer.line


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_health_takes_no_other_method(stack, method):
    answer = ask(stack, "/-/ready", method, b"")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
