"""POST /-/have: a list of blobs and keys is answered, line by line, as a GET for each would be."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from deployed import metadata_of, new_key
from exposition import scrape
from stack import Stack, eventually
from test_database_away import stopped_database
from wire import Wire

ABSENT = "0" * 128
LINES = 10_000
ATTRIBUTE = "user.shacache.size"


def send(stack, body, target="/shacache/-/have", headers=(), context=None):
    """The answer, on a connection that must go on."""
    with Wire(stack, context) as wire:
        answer = wire.request("POST", target, body, headers)
        assert wire.is_open()
        return answer


def ask(stack, names, target="/shacache/-/have", host="localhost", context=None):
    """The answer's lines."""
    body = "".join(f"{name}\n" for name in names).encode()
    answer = send(stack, body, target, [("Host", host)], context)
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "text/plain; charset=utf-8" and answer.headers["cache-control"] == "no-store"
    return answer.body.decode().splitlines()


def there(stack, digest):
    """What a list says of a blob that is there."""
    status = stack.blob_file(digest).stat()
    return f"yes {status.st_size} {int(status.st_mtime)}"


@pytest.fixture
def blob(cache):
    return cache.upload(os.urandom(1000))


@pytest.fixture
def key(cache, blob):
    cache.index(key := new_key(), metadata_of(blob))
    return key


# What is there


def test_blobs_are_answered_in_the_order_asked_with_size_and_time(cache, blob):
    empty = cache.upload(b"")
    assert ask(cache, [ABSENT, blob, empty, blob.upper(), ABSENT]) == [
        "no", there(cache, blob), there(cache, empty), there(cache, blob), "no"]
    assert there(cache, blob).startswith("yes 1000 ")


@pytest.mark.parametrize("target, host, of_blob, of_key", [
    ("/shacache/-/have", "localhost", "", None),
    ("/shacache/cache/-/have", "localhost", "", None),
    ("/shadir/-/have", "localhost", None, ""),
    ("/shacache/dir/-/have", "localhost", None, ""),
    ("/-/have", "localhost", "shacache/", "shadir/"),
    ("/-/have?query", "localhost", "shacache/cache/", "shacache/dir/"),
    ("/-/have", "shacache.example.org", "", "shadir/"),
    ("/shadir/-/have", "shacache.example.org", None, ""),
    ("/-/have", "shadir.example.org", None, "")])
def test_wherever_a_get_is_a_line_is_what_stands_behind_the_slash(cache, blob, key, target, host, of_blob, of_key):
    pairs = [(of_blob, blob, there(cache, blob)), (of_blob, ABSENT, "no"), (of_key, key, "yes"), (of_key, "missing", "no")]
    asked = [(prefix + name, answer) for prefix, name, answer in pairs if prefix is not None]
    assert ask(cache, [name for name, _ in asked], target, host) == [answer for _, answer in asked]
    for name, answer in asked:
        got, _, _ = cache.request("GET", target.split("-/have")[0] + name, headers={"Host": host})
        assert got == (404 if answer == "no" else 200)


def test_anybody_may_ask_also_over_tls(closed):
    blob = closed.upload(os.urandom(100))
    for context in None, closed.tls(), closed.tls(certificate=False):
        assert ask(closed, [blob, ABSENT], context=context) == [there(closed, blob), "no"]


def test_a_key_is_written_as_in_a_url(cache, blob):
    start = new_key()
    names = [f"{start}%C3%A9,a=b:c;d&e<f>+%20g", f"{start}-e%CC%81", f"{start}/../x//y"]
    for name in names:
        with Wire(cache, cache.tls()) as wire:
            assert wire.request("PUT", f"/shadir/{name}", f'["{{\\"sha512\\": \\"{blob}\\"}}", ""]'.encode()).status == 201
    # What Unicode takes for the same name is another one.
    other = f"{start}-%C3%A9"
    assert ask(cache, [*names, other, names[1].replace("e%CC%81", "e\u0301")], "/shadir/-/have") == [
        "yes", "yes", "yes", "no", "yes"]


def test_what_is_withdrawn_is_not_there(cache, blob, key):
    mine = cache.upload(os.urandom(10))
    assert ask(cache, [mine]) == [there(cache, mine)]
    cache.admin("blob", "withdraw", mine, "--reason", "test")
    (listed,) = json.loads(cache.admin("entry", "list", key, "--json").stdout)
    cache.admin("entry", "withdraw", str(listed["number"]), "--reason", "test")
    assert ask(cache, [mine, blob]) == ["no", there(cache, blob)]
    assert ask(cache, [key], "/shadir/-/have") == ["no"]
    # Of a key, one that is visible is enough.
    cache.index(key, metadata_of(blob, more="x"))
    assert ask(cache, [key], "/shadir/-/have") == ["yes"]


def test_what_is_damaged_is_not_there_and_is_counted(cache, blob):
    before = scrape(cache)
    os.truncate(cache.blob_file(blob), 999)
    assert ask(cache, [blob, ABSENT]) == ["no", "no"]
    cache.blob_file(blob).unlink()
    assert ask(cache, [blob]) == ["no"]
    assert eventually(lambda: scrape(cache).since(before, "shacache_damaged_blob_reads_total"))


def test_what_lost_its_attributes_is_confirmed_as_by_a_get(stack):
    digest = stack.upload(os.urandom(1000))
    file = stack.blob_file(digest)
    os.removexattr(file, ATTRIBUTE)
    assert ask(stack, [digest]) == [there(stack, digest)]
    assert os.getxattr(file, ATTRIBUTE)


def test_blobs_are_answered_without_the_database_and_keys_are_503(tmp_path):
    with Stack(tmp_path / "cache") as cache:
        blob = cache.upload(os.urandom(10))
        with stopped_database(cache):
            assert ask(cache, [blob, ABSENT]) == [there(cache, blob), "no"]
            answer = send(cache, b"key\n", "/shadir/-/have")
            assert (answer.status, answer.headers["retry-after"]) == (503, "10")


# Wrong lists


@pytest.mark.parametrize("body, line", [
    (b"", "the list is empty"), (b"\n", "line 1 of the list"), (ABSENT.encode() + b"\nzero\n", "line 2 of the list names neither"),
    (ABSENT.encode() + b"\n\n" + ABSENT.encode(), "line 2"), (b"-/have\n", "line 1"), (b"\xff\n", "line 1"), (b"#\n", "line 1")])
def test_what_is_no_list_of_blobs_is_400_with_the_line(cache, body, line):
    answer = send(cache, body)
    assert answer.status == 400 and line in answer.line, answer


@pytest.mark.parametrize("name", ["..", "", "a%00", "x" * 1025])
def test_what_no_key_can_be_called_is_400(cache, name):
    answer = send(cache, f"good\n{name}\n".encode(), "/shadir/-/have")
    assert answer.status == 400 and answer.line.startswith("line 2 of the list"), answer


def test_ends_of_lines_may_be_those_of_windows_and_the_last_may_lack(cache, blob):
    assert send(cache, f"{blob}\r\n{ABSENT}".encode()).body.decode().splitlines() == [there(cache, blob), "no"]


def test_ten_thousand_are_answered_and_more_are_413(cache, blob):
    names = [blob, *[f"{number:0128x}" for number in range(LINES - 1)]]
    assert ask(cache, names) == [there(cache, blob), *["no"] * (LINES - 1)]
    keys = [f"{new_key()}{number}" for number in range(LINES)]
    assert ask(cache, keys, "/shadir/-/have") == ["no"] * LINES
    answer = send(cache, "\n".join([*names, ABSENT]).encode())
    assert answer.status == 413 and "10000 lines" in answer.line


def test_two_million_bytes_are_413_whether_announced_or_not(cache):
    with Wire(cache) as wire:
        wire.send("POST /shadir/-/have HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n")
        assert wire.answer("POST").status == 413
    with Wire(cache) as wire:
        wire.send("POST /shadir/-/have HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            wire.send(b"f0000\r\n" + b"x" * 0xF0000 + b"\r\n")
        assert wire.answer("POST").status == 413


@pytest.mark.parametrize("target, host", [
    ("/-/have", "localhost"), ("/shacache/-/have", "localhost"), ("/shacache/cache/-/have", "localhost"),
    ("/-/have", "shacache.example.org")])
def test_nothing_else_can_be_done_there(cache, target, host):
    for method in "GET", "HEAD", "DELETE":
        with Wire(cache) as wire:
            answer = wire.request(method, target, headers=[("Host", host)])
            assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS"), answer
    with Wire(cache) as wire:
        answer = wire.request("OPTIONS", target, headers=[("Host", host)])
        assert (answer.status, answer.headers["allow"]) == (204, "POST, OPTIONS")


def test_below_the_directory_the_name_is_a_key_for_all_else(cache, blob):
    if cache.entries("-/have") is None:
        assert ask(cache, ["-/have"], "/shadir/-/have") == ["no"]
    cache.index("-/have", metadata_of(blob))
    assert ask(cache, ["-/have"], "/shadir/-/have") == ["yes"]
    # An escaped name is no list's place.
    assert send(cache, b"x\n", "/shadir/-%2Fhave").status == 405


# How much one client may ask


def test_metrics_and_the_log_know_lists(stack):
    before = scrape(stack)
    ask(stack, [ABSENT] * 3)
    send(stack, b"")
    grown = lambda: scrape(stack).since(before, "shacache_requests_total", "route", "method", "status")  # noqa: E731
    assert eventually(lambda: {("list", "POST", "200"): 1, ("list", "POST", "400"): 1}.items() <= grown().items())


def test_a_list_counts_as_many_requests_as_it_has_names(elsewhere):
    """Of the addresses that the site exempts, 127.0.0.1 is one; these are not."""
    body = f"{ABSENT}\n".encode() * LINES

    def send_from(addresses):
        # At once: on a slow machine, what lists count for might be worked off between one and the next.
        with ThreadPoolExecutor(12) as clients:
            return list(clients.map(lambda address: send(elsewhere, body, headers=[("X-Test-Address", address)]), addresses))

    asked = send_from(["198.51.77.1"] * 12)
    refused = [answer for answer in asked if answer.status != 200]
    assert refused and len(refused) < len(asked), asked
    assert all(answer.status == 429 and 1 <= int(answer.headers["retry-after"]) <= 5 for answer in refused)
    assert "too many names" in refused[0].line
    # Others aren't held up, nor those without limits.
    for headers in ([("X-Test-Address", "198.51.77.2")], []):
        assert all(send(elsewhere, body, headers=headers).status == 200 for _ in range(1 if headers else 5))
    # Networks of IPv6 are one client.
    assert 429 in [answer.status for answer in send_from(f"2001:db8:7::{number}" for number in range(1, 13))]
    # It is worked off.
    time.sleep(int(refused[-1].headers["retry-after"]) + 1)
    assert send(elsewhere, body[:1290], headers=[("X-Test-Address", "198.51.77.1")]).status == 200
