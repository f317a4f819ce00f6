"""What a download may ask for: a part of a blob, a blob under a condition, its head alone."""

import hashlib
import os
import random
import re
import ssl

import pytest
from certificates import self_signed
from wire import Wire

# The same in each process that collects these tests: their names have its hash.
DATA = random.Random(1).randbytes(100_000)
BLOB = f"/shacache/{hashlib.sha512(DATA).hexdigest()}"
TAG = f'"{hashlib.sha512(DATA).hexdigest()}"'
LONG_AGO = "Thu, 01 Jan 1970 00:00:00 GMT"
ABSENT = "/shacache/" + "0" * 128


@pytest.fixture(scope="module")
def having():
    """The caches that have the blob."""
    return []


@pytest.fixture(autouse=True)
def given(request, having):
    """The blob, in the cache that the test asks. Sent once: to send it again would change its Last-Modified."""
    for name in {"cache", "stack", "direct", "elsewhere"} & set(request.fixturenames):
        cache = request.getfixturevalue(name)
        if cache not in having:
            having.append(cache)
            cache.upload(DATA)


def get(cache, target=BLOB, method="GET", context=None, **headers):
    """One request, and another to see that the connection stands; a header's name is written with underscores."""
    with Wire(cache, context) as wire:
        pairs = [(name.replace("_", "-"), text) for name, text in headers.items()]
        answer = wire.request(method, target, headers=pairs)
        assert wire.is_open()
        return answer


def ask_and_leave(cache, target, *headers):
    with Wire(cache) as wire:
        return wire.request("GET", target, headers=headers)


def test_a_blob_comes_whole_and_says_that_a_part_can_be_asked_for(cache):
    answer = get(cache)
    assert (answer.status, answer.body) == (200, DATA)
    headers = answer.headers
    del headers["date"], headers["last-modified"]
    assert headers == {
        "server": "nginx",
        "connection": "keep-alive",
        "content-type": "application/octet-stream",
        # The deployed clients resume only when these two are exactly so.
        "content-length": "100000",
        "accept-ranges": "bytes",
        "cache-control": "public, max-age=31556926, immutable",
        "etag": TAG,
        "x-content-type-options": "nosniff",
    }


@pytest.mark.parametrize(
    "range_, start, end",
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1-1", 1, 2),
        ("bytes=0-99999", 0, 100_000),
        ("bytes=0-", 0, 100_000),
        ("bytes=50000-60000", 50_000, 60_001),
        ("bytes=99999-", 99_999, 100_000),
        ("bytes=99999-200000", 99_999, 100_000),
        ("bytes=-1", 99_999, 100_000),
        ("bytes=-40000", 60_000, 100_000),
        ("bytes=-200000", 0, 100_000),
        ("bytes= 5-7 ", 5, 8),
    ],
)
def test_a_range_is_exactly_the_bytes_that_were_asked_for(cache, range_, start, end):
    answer = get(cache, Range=range_)
    assert (answer.status, answer.body) == (206, DATA[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/100000"
    assert answer.headers["content-length"] == str(end - start)
    assert answer.headers["etag"] == TAG


def test_several_ranges_come_in_parts(cache):
    answer = get(cache, Range="bytes=0-9,500-999,-10")
    assert answer.status == 206
    boundary = re.fullmatch(r"multipart/byteranges; boundary=(\w+)", answer.headers["content-type"])[1].encode()
    first, *parts, last = answer.body.split(b"\r\n--" + boundary)
    assert (first, last) == (b"", b"--\r\n")
    assert [part.split(b"\r\n\r\n", 1) for part in parts] == [
        [
            b"\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes %d-%d/100000" % (start, end - 1),
            DATA[start:end],
        ]
        for start, end in [(0, 10), (500, 1000), (99_990, 100_000)]
    ]


# More parts than one would weigh more than the blob: a cheap question with an expensive answer.
def test_ranges_that_overlap_many_times_cost_no_more_than_the_blob(cache):
    answer = get(cache, Range="bytes=" + ",".join(["0-"] * 200))
    assert answer.status in (200, 206, 416)
    assert len(answer.body) <= len(DATA) + 1000


@pytest.mark.parametrize("unit", ["lines=0-1", "bytes"])
def test_a_range_of_another_kind_is_ignored(cache, unit):
    answer = get(cache, Range=unit)
    assert (answer.status, answer.body) == (200, DATA)


@pytest.mark.parametrize("range_", ["bytes=100000-", "bytes=100000-100001", "bytes=5-2", "bytes=-0", "bytes=x"])
def test_a_range_outside_the_blob_is_416_and_says_how_long_the_blob_is(cache, range_):
    answer = get(cache, Range=range_)
    assert (answer.status, answer.body, answer.headers["content-range"]) == (416, b"", "bytes */100000")
    # Nobody must keep this for a year.
    assert "no-store" in answer.headers["cache-control"]


def test_an_empty_blob_has_no_ranges(cache):
    digest = cache.upload(b"")
    for headers in {}, {"Range": "bytes=0-"}, {"Range": "bytes=-1"}:
        answer = get(cache, f"/shacache/{digest}", **headers)
        assert answer.status in (200, 416) and answer.body == b"", answer


CONDITIONS = [
    ({"If-Match": TAG}, 200),
    ({"If-Match": "*"}, 200),
    ({"If-Match": f'"x", {TAG}'}, 200),
    ({"If-Match": '"x"'}, 412),
    ({"If-Match": f"W/{TAG}"}, 412),
    ({"If-Match": TAG.upper()}, 412),
    ({"If-None-Match": TAG}, 304),
    ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": f"W/{TAG}"}, 304),
    ({"If-None-Match": f'"x",{TAG}'}, 304),
    ({"If-None-Match": '"x"'}, 200),
    ({"If-None-Match": TAG.strip('"')}, 200),
    ({"If-Match": TAG, "If-None-Match": '"x"'}, 200),
    ({"If-Match": TAG, "If-None-Match": TAG}, 304),
    ({"If-Match": '"x"', "If-None-Match": TAG}, 412),
    ({"If-Match": "*", "If-Unmodified-Since": LONG_AGO}, 200),
    ({"Range": "bytes=5-8", "If-Range": TAG, "If-Unmodified-Since": LONG_AGO}, 412),
    ({"Range": "bytes=5-8", "If-Range": TAG}, 206),
    ({"Range": "bytes=5-8", "If-Range": '"x"'}, 200),
    ({"Range": "bytes=5-8", "If-Range": f"W/{TAG}"}, 200),
    ({"Range": "bytes=5-8", "If-Match": TAG}, 206),
    ({"Range": "bytes=5-8", "If-Match": TAG, "If-Range": TAG}, 206),
    ({"Range": "bytes=5-8", "If-Match": TAG, "If-Range": '"x"'}, 200),
    ({"Range": "bytes=5-8", "If-Match": '"x"'}, 412),
    ({"Range": "bytes=5-8", "If-None-Match": '"x"'}, 206),
    ({"Range": "bytes=5-8", "If-None-Match": TAG}, 304),
    ({"Range": "bytes=5-8", "If-Range": TAG, "If-None-Match": TAG}, 304),
    ({"Range": "bytes=100000-", "If-Range": TAG}, 416),
    ({"If-Modified-Since": LONG_AGO}, 200),
]


# Service.blob decides by the ETag, and /-/blob-if/ keeps from nginx what it would decide otherwise.
@pytest.mark.parametrize("host", ["localhost", "shacache.example.org"])
@pytest.mark.parametrize(
    "headers, status", CONDITIONS, ids=[str(headers).replace(TAG[1:-1], "TAG") for headers, _ in CONDITIONS])
def test_a_condition_is_decided_by_the_tag_which_is_the_hash(cache, headers, status, host):
    target = BLOB if host == "localhost" else BLOB.removeprefix("/shacache")
    context = cache.tls(certificate=False)
    for answer in get(cache, target, Host=host, **headers), get(cache, target, Host=host, context=context, **headers):
        assert answer.status == status, answer
        if status in (200, 206):
            assert answer.body == (DATA if status == 200 else DATA[5:9])
            assert answer.headers["cache-control"] == "public, max-age=31556926, immutable"
        if status in (200, 206, 304):
            assert answer.headers["etag"] == TAG
        elif "Range" in headers:
            assert answer.body == b""


def test_a_date_as_condition_is_the_time_of_the_upload(cache):
    date = get(cache).headers["last-modified"]
    assert get(cache, If_Modified_Since=date).status == 304
    assert get(cache, If_Unmodified_Since=date).status == 200
    assert ask_and_leave(cache, BLOB, ("If-Unmodified-Since", LONG_AGO)).status == 412
    assert get(cache, Range="bytes=5-8", If_Range=date).body == DATA[5:9]


HEADS = {
    "a blob": (BLOB, {}),
    "a blob that must match": (BLOB, {"If-Match": TAG}),
    "a blob that is known": (BLOB, {"If-None-Match": TAG}),
    "another blob": (BLOB, {"If-Match": '"x"'}),
    "no such blob": (ABSENT, {}),
    "a key": ("/shadir/head", {}),
    "no such key": ("/shadir/absent", {}),
    "a malformed key": ("/shadir/%0A", {}),
    "nothing": ("/nowhere", {}),
    "nginx's own": ("/-/error", {}),
    "live": ("/-/live", {}),
    "ready": ("/-/ready", {}),
}


@pytest.mark.parametrize("target, headers", HEADS.values(), ids=HEADS)
def test_the_head_says_what_the_whole_answer_would(cache, target, headers):
    cache.index("head", f'{{"sha512": {TAG}}}')
    head, whole = (get(cache, target, method, **headers) for method in ("HEAD", "GET"))
    assert head.status == whole.status
    assert {**head.headers, "date": ""} == {**whole.headers, "date": ""}
    assert whole.status == 304 or int(head.headers["content-length"]) == len(whole.body)


COMPARED = [
    ({}, BLOB),
    ({"Range": "bytes=5-8"}, BLOB),
    ({"Range": "bytes=100000-"}, BLOB),
    ({"If-None-Match": TAG}, BLOB),
    ({"If-Match": TAG}, BLOB),
    ({"If-Match": '"x"'}, BLOB),
    ({}, BLOB.replace("shacache/", "shacache/cache/")),
    ({}, BLOB.upper().replace("SHACACHE", "shacache")),
    ({}, ABSENT),
    ({}, "/shacache/" + "0" * 127),
    ({}, "/shadir/absent"),
]


# direct.conf must not drift from accelerated.conf.
@pytest.mark.parametrize("headers, target", COMPARED, ids=range(len(COMPARED)))
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
def test_both_ways_of_serving_blobs_say_the_same(stack, direct, method, headers, target):
    accelerated, plain = (get(cache, target, method, **headers) for cache in (stack, direct))
    assert (accelerated.status, accelerated.body) == (plain.status, plain.body)
    ignored = {"date": "", "last-modified": ""}
    assert {**accelerated.headers, **ignored} == {**plain.headers, **ignored}


# A deployed client splices the body of a failed resume into its file and asks again from there.
def assert_silent(answer):
    assert 300 <= answer.status, answer
    assert answer.body == b"" and answer.headers.get("content-length", "0") == "0", answer


RESUME = ("Range", "bytes=5-")
FAILED_RESUMES = {
    "no such blob": (ABSENT, {}),
    "no name of a blob": ("/shacache/0123", {}),
    "a range outside": (BLOB, {"Range": "bytes=100000-"}),
    "a range that is none": (BLOB, {"Range": "bytes=x-"}),
    "another blob": (BLOB, {"If-Match": '"x"'}),
    "a later blob": (BLOB, {"If-Unmodified-Since": LONG_AGO}),
    "the same blob": (BLOB, {"If-None-Match": TAG}),
    "no listing of blobs": ("/shacache", {}),
    "nothing": ("/nowhere", {}),
    "no such key": ("/shadir/absent", {}),
    "a malformed key": ("/shadir/a%0Ab", {}),
    "no key": ("/shadir/", {}),
    "a file of nginx's": (f"/-/blob/{TAG[1:3]}/{TAG[1:-1]}", {}),
    "an answer of nginx's": ("/-/error", {}),
    "two hosts": (BLOB, {"Host": "a", "host": "b"}),
    "a malformed host": (BLOB, {"Host": "a b"}),
    "a large header": (BLOB, {"X": "y" * 40_000}),
}


# Service.answer empties a worker's answers, $shacache_error_body nginx's own.
@pytest.mark.parametrize("target, headers", FAILED_RESUMES.values(), ids=FAILED_RESUMES)
@pytest.mark.parametrize("over_tls", [False, True], ids=["HTTP", "TLS"])
def test_a_resume_that_fails_is_answered_without_a_body(cache, target, headers, over_tls):
    with Wire(cache, cache.tls(certificate=False) if over_tls else None) as wire:
        assert_silent(wire.request("GET", target, headers=list((dict([RESUME]) | headers).items())))


# $shacache_error_body says nothing before a Host was read, since nginx doesn't look for a Range any more.
@pytest.mark.parametrize("target", ["/shacache/" + "y" * 40_000, "/../x", "/shacache/%00", "x"])
def test_a_resume_whose_target_can_not_be_read_is_answered_without_a_body(cache, target):
    with Wire(cache) as wire:
        assert_silent(wire.request("GET", target, headers=[("Host", "localhost"), RESUME]))


# blob_file: a damaged file is found before the first byte of the answer. (Not so in direct.conf, which says so.)
def test_a_resume_of_a_damaged_blob_is_answered_without_a_body(stack):
    digest = stack.upload(os.urandom(1000))
    os.truncate(stack.blob_file(digest), 999)
    answer = get(stack, f"/shacache/{digest}", Range="bytes=5-")
    assert_silent(answer)
    assert answer.status == 404


# tls.conf: `optional`, so that nginx answers by itself when a certificate doesn't verify.
def test_a_resume_with_a_certificate_that_is_refused_is_answered_without_a_body(cache, tmp_path):
    with Wire(cache, cache.tls(*self_signed(tmp_path, "stranger", "EC"))) as wire:
        answer = wire.request("GET", BLOB, headers=[RESUME])
        assert_silent(answer)
        assert answer.status == 400


def test_a_resume_in_plain_http_on_the_port_for_tls_is_answered_without_a_body(cache):
    class Plain(ssl.SSLContext):
        def wrap_socket(self, socket, **_):
            return socket

    with Wire(cache, Plain(ssl.PROTOCOL_TLS_CLIENT)) as wire:
        answer = wire.request("GET", BLOB, headers=[RESUME])
        assert_silent(answer)
        assert answer.status == 400


def test_a_resume_while_no_worker_is_there_is_answered_without_a_body(elsewhere):
    socket = elsewhere.state / "run/read.sock"
    socket.rename(socket.with_suffix(".away"))
    try:
        answer = ask_and_leave(elsewhere, BLOB, RESUME)
        assert_silent(answer)
        assert (answer.status, answer.headers["retry-after"]) == (503, "10")
        answer = ask_and_leave(elsewhere, BLOB)
        assert (answer.status, answer.line) == (503, "no worker answered, try again")
    finally:
        socket.with_suffix(".away").rename(socket)


def test_a_resume_from_where_it_is_forbidden_is_answered_without_a_body(elsewhere):
    answer = ask_and_leave(elsewhere, "/-/ready", ("X-Test-Address", "192.0.2.1"), RESUME)
    assert_silent(answer)
    assert answer.status == 403
