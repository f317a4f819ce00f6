"""A near cache: what upstreams list under keys, as lookups here have it."""

import hashlib
import json
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import unquote

import pytest
from administration import listed
from deployed import client_of, metadata_of, new_key, selected, sign
from impostor import reply
from slapproxy import SlapproxyCache
from stack import Database, Stack, eventually
from nearby import fetcher, log_of, memory, name_of, restart

HOUR = 3600
MIB = 1 << 20


def lookup(near, key, **headers):
    return near.request("GET", f"/shadir/{key}", headers=headers)


def asked(upstream, key):
    return upstream.asked("GET", f"/shadir/{key}")


def age(near, key, seconds):
    """Makes what was said of it older than it is."""
    Database(near).run(
        f"UPDATE shacache.fetched_key SET answered_at = answered_at - interval '{seconds} s' WHERE key = '{key}'")


def withdraw(stack, key):
    """All of its entries."""
    numbers = [str(row["number"]) for row in listed(stack, "entry", "list", key)]
    stack.admin("entry", "withdraw", *numbers, "--reason", "test")


def pair(note, signature="", digest="0" * 128):
    return [metadata_of(digest, note=note), signature]


def provenance(headers):
    """The upstream, how many of its entries are not here, and which of the list they are; the age is in between."""
    return re.fullmatch(r'"(.*)"; age=\d+; entries=(\d+)(?:; numbers="([0-9,-]+)")?', headers["X-ShaCache-Fetched"]).groups()


# Service.entries, FetchedKeys.list. Without FetchedKeys.age, it is asked for each time.
def test_an_upstreams_list_is_answered_byte_for_byte_with_what_was_put_here(near, upstream):
    key = new_key()
    own, both = pair("own"), pair("both")
    near.index(key, *own)
    near.index(key, *both)
    odd = ['{ "sha512":"' + "A" * 128 + '", "n": NaN, "t": "\\u0000 \\ud83d \U0001f600 é" }', "YWJj\n"]
    upstream.listings[key] = [pair("2"), both, odd, pair("1")]
    status, headers, body = lookup(near, key)
    assert (status, json.loads(body)) == (200, [pair("2"), both, odd, pair("1"), own])
    assert (headers["Content-Type"], headers["Cache-Control"], headers["Content-Length"]) == (
        "application/json", "no-cache", str(len(body)))
    assert provenance(headers) == ("upstream-1", "3", "1,3-4")
    assert lookup(near, key)[::2] == (200, body) and near.request("HEAD", f"/shadir/{key}")[::2] == (200, b"")
    assert len(asked(upstream, key)) == 1


@pytest.mark.parametrize("key", ["a//b", "a/../b", "%25", "a%2fb", "é€", "a+b=c:d;e,f&g<h>", "x" * 1024, "-/fetch/key/00"])
def test_any_key_is_asked_for_as_it_is(near, upstream, key):
    upstream.answer = lambda handler: reply(handler, 200, json.dumps([pair(handler.path)]).encode())
    status, _, body = near.request("GET", "/shadir/" + (key if key.isascii() else "%C3%A9%E2%82%AC"))
    assert status == 200, body
    path = json.loads(json.loads(body)[0][0])["note"]
    assert unquote(path) == "/shadir/" + unquote(key)


def test_an_unknown_key_is_the_miss_that_it_was_and_remembered_for_a_while(near, upstream, stack):
    key = new_key()
    (status, headers, body), here = lookup(near, key), stack.request("GET", f"/shadir/{key}")
    assert (status, body, headers["Content-Type"]) == (404, here[2], here[1]["Content-Type"])
    assert lookup(near, key, Range="bytes=5-")[::2] == (404, b"")
    assert len(asked(upstream, key)) == 1
    near.index(key, *pair("own"))
    assert near.entries(key) == [pair("own")]
    upstream.listings[empty := new_key()] = []
    assert near.entries(empty) == []


# FetchedKeys.want, KeyFetcher.followWanted.
def test_what_is_stale_is_answered_at_once_and_asked_for_meanwhile(near, upstream):
    key, gate = new_key(), threading.Event()
    upstream.listings[key] = [pair("old")]
    assert near.entries(key) == [pair("old")]
    upstream.listings[key] = [pair("new")]
    upstream.answer = lambda handler: gate.wait(30) and None
    age(near, key, 100)
    try:
        assert near.entries(key) == near.entries(key) == [pair("old")]
        eventually(lambda: len(asked(upstream, key)) == 2)
        assert near.entries(key) == [pair("old")]
    finally:
        gate.set()
    eventually(lambda: near.entries(key) == [pair("new")])
    # A lookup just before the new list was stored may have it asked for once more.
    assert len(asked(upstream, key)) <= 3


def test_what_is_older_is_asked_for_first_and_what_is_gone_there_is_gone(near, upstream):
    key = new_key()
    upstream.listings[key] = [pair("1"), pair("2")]
    assert near.entries(key) == [pair("1"), pair("2")]
    for listing, expected in ([pair("2"), pair("3")], [pair("2"), pair("3")]), ([], []), (None, None):
        upstream.listings[key] = listing
        age(near, key, 2 * HOUR)
        assert near.entries(key) == expected


# FetchedKeys.age: by the own clock alone.
@pytest.mark.parametrize("minutes", [-10, 10])
def test_an_upstreams_clock_and_dates_decide_on_nothing(near, upstream, minutes):
    def answer(handler):
        handler.date_time_string = lambda timestamp=None: formatdate(time.time() + 60 * minutes, usegmt=True)
        handler.end_headers = lambda: (
            [handler.send_header(name, handler.date_time_string()) for name in ("Last-Modified", "Expires")],
            type(handler).end_headers(handler))

    upstream.answer = answer
    upstream.listings[key := new_key()] = [pair("old")]
    digest = upstream.has(data := os.urandom(1000))
    assert near.entries(key) == [pair("old")]
    upstream.listings[key] = [pair("new")]
    assert near.entries(key) == [pair("old")] and len(asked(upstream, key)) == 1
    age(near, key, 7200)
    assert near.entries(key) == [pair("new")]
    status, headers, body = near.request("GET", f"/shacache/{digest}")
    assert (status, body) == (200, data) and abs(parsedate_to_datetime(headers["Date"]).timestamp() - time.time()) < 300


# Fails without the join in FetchedKeys.pairs.
def test_what_is_withdrawn_here_stays_hidden(near, upstream):
    key = new_key()
    near.index(key, *pair("bad"))
    upstream.listings[key] = [pair("bad"), pair("good")]
    assert near.entries(key) == [pair("bad"), pair("good")]
    withdraw(near, key)
    assert near.entries(key) == [pair("good")]
    age(near, key, 2 * HOUR)
    assert near.entries(key) == [pair("good")] and len(asked(upstream, key)) == 2


def refused(near, key):
    return Database(near).run(f"SELECT refused_pairs, refusal FROM shacache.fetched_key WHERE key = '{key}'")[0]


# Fails without the catch in FetchedList.init.
def test_a_poisoned_pair_is_dropped_and_never_the_key(near, upstream):
    key = new_key()
    good = [pair("1"), pair("2")]
    bad = [
        ["{}", ""], ["[]", ""], ["", ""], ["x"], "x", None, 1, {}, [metadata_of("00"), ""], [metadata_of(), "YQ="],
        [metadata_of() + "\0", ""], [metadata_of(note="x"), 1], ["\ud800", ""]]
    upstream.listings[key] = [good[0], *bad, good[1], good[0]]
    assert near.entries(key) == good
    assert refused(near, key) == (str(len(bad)), "the metadata has no sha512")
    assert f'"{key}"' in log_of(near)
    unsigned = {"signature-private-key-file": None, "signature-certificate-list": None}
    assert len(selected(client_of(near, **unsigned), key)) == 2


def test_where_signatures_are_required_they_are_of_what_is_fetched_too(near, upstream):
    key = new_key()
    verified = metadata_of(note="verified")
    pairs = [pair("unsigned"), pair("unknown", "YWJj"), [verified, sign(near, verified)]]
    upstream.listings[key] = pairs
    assert near.entries(key) == pairs
    before = (near.state / "shacache.toml").read_text()
    try:
        (near.state / "shacache.toml").write_text(f'{before}\n[uploads]\nsignatures = "require"\n')
        restart(near)
        age(near, key, 2 * HOUR)
        assert near.entries(key) == pairs[2:]
        assert refused(near, key)[0] == "2"
    finally:
        (near.state / "shacache.toml").write_text(before)
        restart(near)


def endless(handler):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    while True:
        handler.wfile.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


HOSTILE = {
    "a page": lambda handler: reply(handler, 200, b"<html>not found</html>"),
    "an object": lambda handler: reply(handler, 200, b"{}"),
    "not UTF-8": lambda handler: reply(handler, 200, b'[["\xff", ""]]'),
    "half a list": lambda handler: reply(handler, 200, json.dumps([pair("1")]).encode()[:-1]),
    "deep": lambda handler: reply(handler, 200, b"[" * 1_000_000),
    "cut": lambda handler: reply(handler, 200, json.dumps([pair("1")]).encode(), length=10_000),
    "10 MB": lambda handler: reply(handler, 200, json.dumps([pair("x" * 1000)] * 10_000).encode()),
    "endless": endless,
    "a redirect": lambda handler: reply(handler, 302, headers={"Location": "http://127.0.0.2/shadir/x"}),
    "500": lambda handler: reply(handler, 500),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_list_is_a_miss_and_keeps_what_was_said_before(near, upstream, kind):
    known, unknown, own = new_key(), new_key(), new_key()
    upstream.listings[known] = [pair("1")]
    assert near.entries(known) == [pair("1")]
    near.index(own, *pair("own"))
    age(near, known, 2 * HOUR)
    upstream.answer = HOSTILE[kind]
    assert near.entries(unknown) is None
    assert near.entries(known) == [pair("1")]
    assert near.entries(own) == [pair("own")]
    assert near.request("GET", "/-/ready")[0] == 200


def test_a_key_with_very_many_pairs_has_as_many_as_one_may(near, upstream):
    key = new_key()
    upstream.listings[key] = json.dumps([pair(f"{number}") for number in range(20_000)]).encode()
    assert len(upstream.listings[key]) < 4 << 20 and len(near.entries(key)) == 1000
    assert refused(near, key)[0] == "19000"
    upstream.listings[many := new_key()] = b"[" + b'["",""],' * 100_000 + b"[]]"
    assert near.entries(many) == [] and refused(near, many)[0] == "100001"


def test_clients_that_come_together_make_one_request(near, upstream):
    key, gate = new_key(), threading.Event()
    upstream.listings[key] = [pair("1")]
    upstream.answer = lambda handler: gate.wait(30) and None
    answers = []
    clients = [threading.Thread(target=lambda: answers.append(near.entries(key))) for _ in range(20)]
    for client in clients:
        client.start()
    eventually(lambda: asked(upstream, key))
    gate.set()
    for client in clients:
        client.join()
    # A lookup that was on its way to the fetcher when the answer came may ask once more.
    assert answers == [[pair("1")]] * 20 and len(asked(upstream, key)) <= 2


# KeyFetcher.refresh: without a turn, 404.
@pytest.mark.parametrize("delay", [0.1, 2.5])
def test_more_keys_than_are_asked_for_at_once_wait_for_their_turn_and_are_not_denied(near, upstream, delay):
    restart(near)  # of an upstream that failed, it asks nothing for a while
    keys, old = [new_key() for _ in range(300)], new_key()
    upstream.listings.update({key: [pair("1")] for key in [*keys, old]})
    assert near.entries(old) == [pair("1")]
    age(near, old, 2 * HOUR)
    upstream.answer = lambda handler: time.sleep(delay)
    with ThreadPoolExecutor(len(keys)) as clients:
        lookups = [clients.submit(lookup, near, key) for key in keys]
        eventually(lambda: len(upstream.requests) > 64)
        # What was listed before is the answer, and does not wait.
        assert near.entries(old) == [pair("1")]
        answers = [answer.result() for answer in lookups]
    late = [headers for status, headers, _ in answers if status == 503]
    assert {status for status, _, _ in answers} <= {200, 503} and len(late) < 300 - 64
    assert bool(late) == (delay > 1) and all(headers["Retry-After"] == "10" for headers in late)


# What a tree of all its values would take: in the list, in one element of it, and in the metadata of a pair.
HEAVY = {
    "pairs": b"[" + b"[[],[]]," * 500_000 + b"[]]",
    "one pair": b"[[" + b"[],[]," * 650_000 + b"[]]]",
    "metadata": json.dumps([['{"x": [' + "[]," * 300_000 + "[]]}", ""]] * 4).encode(),
}


# ListElements, FetchedList.markLimit and the limit of its elements, KeyFetcher.enterLong and leaveLong.
@pytest.mark.parametrize("kind", HEAVY)
def test_lists_that_are_trees_of_very_many_values_take_little_memory_and_delay_no_other(near, upstream, kind):
    assert MIB < len(HEAVY[kind]) < 4 * MIB
    restart(near)
    heavy, small = [new_key() for _ in range(40)], [new_key() for _ in range(5)]
    upstream.listings.update({key: HEAVY[kind] for key in heavy} | {key: [pair("1")] for key in small})
    with ThreadPoolExecutor(40) as clients:
        lookups = [clients.submit(near.entries, key) for key in heavy]
        eventually(lambda: len(upstream.requests) > 10)
        begin = time.monotonic()
        assert [near.entries(key) for key in small] == [[pair("1")]] * 5
        seconds = time.monotonic() - begin
        assert {str(lookup.result()) for lookup in lookups} <= {"[]", "None"}
    assert seconds < 5 and memory(fetcher(near))[0] < 80 * MIB, (seconds, memory(fetcher(near))[0] // MIB)


def test_a_cache_that_is_its_own_upstream_asks_once(tmp_path):
    stack = Stack(tmp_path / "ring")
    stack.settings["UPSTREAM"] = f"http://localhost:{stack.settings['HTTP_PORT']}/shacache"
    with stack:
        key = new_key()
        assert stack.entries(key) is None
        stack.index(key, *pair("own"))
        assert stack.entries(key) == [pair("own")]


# The whole way, with the deployed client.
def test_the_real_client_has_what_the_far_cache_has_also_when_that_is_away(tmp_path):
    with Stack(tmp_path / "far", ANONYMOUS="1") as far:
        url = f"http://localhost:{far.settings['HTTP_PORT']}/shacache"
        with Stack(tmp_path / "near", UPSTREAM=url) as near:
            key, data = new_key(), os.urandom(200_000)
            digest = far.upload(data)
            metadata = [metadata_of(digest, note=note) for note in ("first", "second")]
            for text in metadata:
                far.index(key, text, sign(far, text))
            ours = {name: near.env[f"SHA{service}_URL"] for name, service in (("download-cache-url", "CACHE"), ("download-dir-url", "DIR"))}
            client = client_of(far, **ours)
            entries = list(map(json.loads, metadata))

            def all_is_there(expected):
                assert selected(client, key) == expected
                assert hashlib.sha512(client.download(digest).read()).hexdigest() == digest

            all_is_there(entries)
            all_is_there(entries)
            far.stop()
            for seconds in (0, 100, 2 * HOUR):
                age(near, key, seconds)
                all_is_there(entries)
            assert near.entries(new_key()) is None
            far.start()
            withdraw(far, key)
            age(near, key, 2 * HOUR)
            # Until the breaker lets one request through.
            eventually(lambda: selected(client, key) == [], 90)


def test_the_real_slapproxy_is_an_upstream(tmp_path):
    with SlapproxyCache(tmp_path / "slapproxy") as slapproxy:
        with Stack(tmp_path / "near", UPSTREAM_SHACACHE=slapproxy.cache_url, UPSTREAM_SHADIR=slapproxy.dir_url) as near:
            key, data = new_key(), os.urandom(50_000)
            given = slapproxy.client(near)
            file = tmp_path / "file"
            file.write_bytes(data)
            given.upload(file.open("rb"), key, urlmd5="x", file_name="file")
            ours = {name: near.env[f"SHA{service}_URL"] for name, service in (("download-cache-url", "CACHE"), ("download-dir-url", "DIR"))}
            client = client_of(near, **ours)
            (entry,) = selected(client, key)
            assert entry["sha512"] == name_of(data)
            assert client.download(entry["sha512"]).read() == data
