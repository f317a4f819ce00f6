"""GET /-/feed: what was accepted and withdrawn, in the order of its numbers, for those who keep a copy."""

import hashlib
import json
import threading

import pytest
from deployed import metadata_of, new_key
from stack import Database, Stack


@pytest.fixture(scope="module")
def feeding(tmp_path_factory):
    """A cache whose feed all may read."""
    with Stack(tmp_path_factory.mktemp("feeding")) as stack:
        stack.configure('[feed]\nreaders = "all"\n')
        stack.admin("account", "set", "demo", "--role", "blobs", "--role", "entries", "--role", "withdraw")
        yield stack


def page(stack, query="", host="localhost"):
    """The items behind a number, and the name of the numbering."""
    status, headers, body = stack.request("GET", f"/-/feed{query}", headers={"Host": host})
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "application/x-ndjson", "no-store"), body
    return [json.loads(line) for line in body.decode().splitlines()], headers["X-ShaCache-Feed"]


def last_number(stack):
    """So far."""
    last = 0
    while items := page(stack, f"?after={last}")[0]:
        last = items[-1]["number"]
    return last


def withdraw(stack, target):
    status, _, body = stack.request("DELETE", f"{target}?reason=test", context=stack.tls())
    assert status == 204, body


def test_the_feed_has_what_was_accepted_and_withdrawn_in_its_order(feeding):
    before, (first, second) = last_number(feeding), (new_key(), new_key())
    digest = feeding.upload(first.encode())
    metadata = metadata_of(digest, note="é \\ud83d \\u0000 \U0001f600")
    feeding.index(first, metadata)
    feeding.index(second, metadata_of(), "YWJj")
    feeding.index(first, metadata)
    withdraw(feeding, f"/shadir/{first}")
    number = json.loads(feeding.admin("withdrawal", "list", "--json").stdout)[-1]["number"]
    items, _ = page(feeding, f"?after={before}")
    assert [(item["event"], item["key"]) for item in items] == [("entry", second), ("entry hidden", first)]
    feeding.admin("withdrawal", "lift", str(number))
    *_, hidden, shown = items = page(feeding, f"?after={before}")[0]
    assert [item["event"] for item in items] == ["entry", "entry", "entry hidden", "entry shown"]
    assert set(hidden) == {"number", "event", "at", "key", "entry", "sha512"}
    assert shown["entry"] == hashlib.sha256(f"{metadata}\0".encode()).hexdigest()
    assert [[item["metadata"], item["signature"]] for item in (items[0], shown)] == feeding.entries(first) * 2
    assert page(feeding, f"?after={before}&limit=1")[0] == items[:1]
    assert page(feeding, f"?after={items[-1]['number']}")[0] == []


def test_a_follower_has_all_that_many_store_at_a_time_and_withdraw(feeding):
    last, keys = last_number(feeding), [new_key() for _ in range(120)]

    def store(some):
        for number, key in enumerate(some):
            feeding.index(key, metadata_of())
            if number % 10 == 0:
                withdraw(feeding, f"/shadir/{key}")

    writers = [threading.Thread(target=store, args=(keys[number::4],)) for number in range(4)]
    for writer in writers:
        writer.start()
    seen, hidden = [], []
    while True:
        is_over = not any(writer.is_alive() for writer in writers)
        items = page(feeding, f"?after={last}&limit=7")[0]
        numbers = [item["number"] for item in items]
        assert numbers == sorted(set(numbers)) and all(number > last for number in numbers)
        seen += [item["key"] for item in items if item["event"] == "entry"]
        hidden += [item["key"] for item in items if item["event"] == "entry hidden"]
        last = numbers[-1] if items else last
        if is_over and not items:
            break
    # What was withdrawn before its page was read is told as hidden alone.
    assert len(seen) == len(set(seen)) and set(seen) | set(hidden) == set(keys)
    assert sorted(hidden) == sorted(key for number in range(4) for key in keys[number::4][::10])


# Service.checkOperator.
def test_unless_all_may_read_it_it_is_for_operators(closed, account, tmp_path):
    closed.admin("certificate", "issue", account, "--out", tmp_path)
    context = closed.tls(tmp_path / f"{account}.crt", tmp_path / f"{account}.key")
    for shown in (None, closed.tls(certificate=False), context):
        status, _, body = closed.request("GET", "/-/feed", context=shown)
        assert (status, body) == (403, b"the feed is for operators\n")
    closed.admin("account", "set", account, "--role", "operator")
    assert closed.request("GET", "/-/feed?limit=1", context=context)[0] == 200


@pytest.mark.parametrize("query, status", [
    ("?after=-1", 400), ("?after=x", 400), ("?after=9223372036854775808", 400), ("?limit=0", 400), ("?limit=%FF", 400),
    ("?after=9223372036854775807", 200), ("?limit=9223372036854775807", 200), ("?after=&limit=1", 400), ("?other=1", 200)])
def test_a_query_that_says_nothing_is_refused_and_the_limit_is_bounded(feeding, query, status):
    answer = feeding.request("GET", f"/-/feed{query}")
    assert answer[0] == status and len(answer[2].splitlines()) <= 1000


def test_other_methods_and_other_names_are_no_feed(feeding):
    assert feeding.request("HEAD", "/-/feed")[::2] == (200, b"")
    assert feeding.request("OPTIONS", "/-/feed")[0] == 404
    assert feeding.request("GET", "/-/feeds")[0] == 404
    assert feeding.request("GET", "/-/feed", headers={"Host": "shadir.localhost"})[0] == 404
    assert page(feeding, host="shacache.localhost")


# Feed.startAnew, and the timeline in Feed.numbering.
def test_a_numbering_has_a_name_that_stays(feeding):
    name = page(feeding)[1]
    feeding.index(new_key(), metadata_of())
    assert page(feeding)[1] == name
    uuid, timeline = name.rsplit("-", 1)
    assert Database(feeding).run("SELECT name FROM shacache.feed_numbering") == [(uuid,)] and timeline == "00000001"
