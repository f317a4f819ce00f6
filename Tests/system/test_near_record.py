"""What operators see of a near cache: metrics, reports and pages of what was fetched, and of what was wrong with it."""

import json
import os
import re
import signal

import pytest
from deployed import metadata_of, new_key
from exposition import scrape
from faulty import Corrupting, Page
from impostor import reply
from nearby import bytes_of, configure, get, is_stored, name_of, restart, tables
from stack import Database, eventually
from test_have import ask
from test_scrub import damage, quarantined, report, scrub


@pytest.fixture(scope="module")
def near(near, upstream, second):
    configure(near, tables(("first", upstream), ("second", second), header_timeout="1 second"))
    near.admin("account", "set", "demo", "--role", "blobs", "--role", "entries", "--role", "operator")
    return near


def fetch(near, upstream, size=5000):
    data = bytes_of(size)
    digest = upstream.has(data)
    assert get(near, digest)[::2] == (200, data) and is_stored(near, data)
    return digest, data


def rows(near, name):
    return json.loads(near.admin("report", name, "--json").stdout)


def of(near, name, *columns):
    """The sums of a report's columns."""
    return [sum(row[column] for row in rows(near, name) if row["upstream"] == "first") for column in columns]


# UpstreamLedger, DownloadCounters.addUpstreams; sql/report/near_cache.sql.
def test_a_report_says_what_clients_got_and_what_that_cost(near, upstream):
    near.ingest_log()
    columns = "downloads", "sent_bytes", "fetched_blobs", "fetched_bytes", "saved_bytes", "fetched_keys"
    before = of(near, "near-cache", *columns)
    digest, _ = fetch(near, upstream)
    for _ in range(3):
        assert get(near, digest)[0] == 200
    assert get(near, digest, Range="bytes=0-999")[0] == 206
    assert near.request("HEAD", f"/shacache/{digest}")[0] == 200
    upstream.listings[key := new_key()] = [[metadata_of(digest), ""]]
    assert near.request("GET", f"/shadir/{key}")[0] == 200
    near.ingest_log()
    wanted = [5, 4 * 5000 + 1000, 1, 5000, 3 * 5000 + 1000, 1]
    eventually(lambda: of(near, "near-cache", *columns) == [old + new for old, new in zip(before, wanted)])
    shown = scrape(near)
    [downloads, sent, blobs, bytes_, _, keys] = of(near, "near-cache", *columns)
    for name, value in {"downloads": downloads, "sent_bytes": sent, "blobs": blobs, "bytes": bytes_, "keys": keys}.items():
        assert shown.value(f"shacache_upstream_{name}_total", upstream="first") == value


# Service.countNearAnswer.
def test_hits_and_misses_are_counted(near, upstream):
    before = scrape(near)
    digest, _ = fetch(near, upstream)
    upstream.listings[key := new_key()] = [[metadata_of(digest), ""]]
    for _ in range(3):
        get(near, digest)
        near.request("GET", f"/shadir/{key}")
    get(near, name_of(bytes_of(10)))
    near.request("GET", "/shadir/nothing")
    assert scrape(near).since(before, "shacache_near_requests_total", "target", "result") == {
        ("blob", "hit"): 3, ("blob", "miss"): 2, ("key", "hit"): 2, ("key", "miss"): 2}


# UpstreamLedger.note, UpstreamRecord.add; sql/report/upstream_faults.sql.
def test_a_report_says_what_upstreams_gave_wrong(near, upstream):
    wrong, page, key = (upstream.has(bytes_of(5000)), upstream.has(bytes_of(5000)), new_key())
    failed = lambda: scrape(near).by("shacache_upstream_errors_total", "upstream", "kind")
    before = failed()
    upstream.answer = Corrupting({wrong})
    assert get(near, wrong)[0] == 404
    found = lambda: {(row["sha512"] or row["key"], row["reason"]): row for row in rows(near, "upstream-faults")}
    eventually(lambda: (wrong, "wrong bytes") in found())
    restart(near)  # or it isn't asked for it again in an hour
    assert get(near, wrong)[0] == 404
    upstream.answer = Page({page})
    assert get(near, page)[0] == 404
    upstream.answer = None
    upstream.listings[key] = [[metadata_of(name_of(b"")), "no base64!"], [metadata_of(name_of(b"")), ""]]
    assert near.request("GET", f"/shadir/{key}")[0] == 200
    eventually(lambda: {(wrong, "wrong bytes"), (key, "refused pairs")} <= found().keys())
    assert any(name == page for name, _ in found())
    row = found()[wrong, "wrong bytes"]
    assert (row["upstream"], row["times"]) == ("first", 2) and row["first_at"] < row["last_at"]
    assert "another hash" in row["detail"] and "base64" in found()[key, "refused pairs"]["detail"]
    after = failed()
    assert after["first", "fault"] - before.get(("first", "fault"), 0) == 3
    assert after["first", "refused pair"] - before.get(("first", "refused pair"), 0) == 1


# UpstreamRecord.add: shacache.upstream_absence.
def test_it_is_seen_which_upstream_is_away(near, upstream, second):
    second.answer = lambda handler: handler.connection.recv(1)
    get(near, name_of(bytes_of(10)))
    away = lambda: scrape(near).of("shacache_upstream_away", upstream="second", host=os.uname().nodename)
    eventually(away)
    assert not scrape(near).of("shacache_upstream_away", upstream="first")
    second.answer = None
    eventually(lambda: get(near, name_of(bytes_of(10)))[0] == 404 and not away())


# FetchedTotal.record, FetchedFigures.oldestWanted.
def test_the_ages_of_keys_are_shown(near, upstream):
    for seconds in 0, 600, 7200:
        upstream.listings[key := new_key()] = [[metadata_of(name_of(b"")), ""]]
        near.request("GET", f"/shadir/{key}")
        Database(near).run(
            f"UPDATE shacache.fetched_key SET answered_at = now() - interval '{seconds} s' WHERE key = '{key}'")
    near.admin("collect", "fetched")
    shown = scrape(near)
    counts = dict(Database(near).run("""
        SELECT CASE WHEN age < 60 THEN 'fresh' WHEN age < 3600 THEN 'stale' ELSE 'outdated' END, count(*)
        FROM (SELECT extract(epoch FROM at - answered_at) AS age FROM shacache.fetched_key, shacache.fetched_total) AS known GROUP BY 1"""))
    assert {age: int(shown.value("shacache_fetched_keys", age=age)) for age in ("fresh", "stale", "outdated")} == {
        age: int(count) for age, count in counts.items()}
    assert min(map(int, counts.values())) > 0
    os.kill(near.pid("fetcher"), 19)  # SIGSTOP: or it would be asked for at once
    try:
        Database(near).run(f"UPDATE shacache.fetched_key SET wanted_at = '2001-09-09 01:46:40Z' WHERE key = '{key}'")
        assert scrape(near).value("shacache_wanted_key_oldest_timestamp_seconds") == 1_000_000_000
    finally:
        os.kill(near.pid("fetcher"), 18)
    eventually(lambda: not scrape(near).of("shacache_wanted_key_oldest_timestamp_seconds"))


# FastCGIClient.probe, Service.metrics, StatusCommand.warnOfFetcher: a worker's own figures go on.
def test_a_fetcher_that_hangs_or_is_away_is_seen(near):
    warned = lambda: "shacache-fetcher doesn't answer" in near.admin("status").stderr
    assert scrape(near).value("shacache_fetcher_up") == 1 and not warned()
    os.kill(near.pid("fetcher"), signal.SIGSTOP)
    try:
        assert scrape(near).value("shacache_fetcher_up") == 0 and warned()
    finally:
        os.kill(near.pid("fetcher"), signal.SIGCONT)
    eventually(lambda: scrape(near).value("shacache_fetcher_up") == 1)
    assert not warned()


# Entries.areVisible; sql/report/fetched_keys.sql, Pages.fetchedModel.
def test_fetched_entries_are_known_to_lists_reports_and_pages(near, upstream):
    digest, _ = fetch(near, upstream)
    key = new_key()
    assert ask(near, [f"shadir/{key}"], target="/-/have") == ["no"]
    upstream.listings[key] = [[metadata_of(digest), ""], [metadata_of(digest, note="2"), ""]]
    assert ask(near, [f"shadir/{key}"], target="/-/have") == ["no"]  # no upstream is asked
    assert near.request("GET", f"/shadir/{key}")[0] == 200
    assert ask(near, [f"shadir/{key}", f"shacache/{digest}"], target="/-/have")[0] == "yes"
    (row,) = [row for row in rows(near, "fetched-keys") if row["key"] == key]
    assert (row["upstream"], row["entries"], row["refused_pairs"]) == ("first", 2, 0)
    document = near.request("GET", f"/-/page/key?key={key}")[2].decode()
    assert "Fetched from first" in document and document.count(digest) >= 2 and "unsigned" in document
    assert f"/-/page/key?key={key}" in near.request("GET", f"/?q={key}")[2].decode()
    # What was put here, too, is an entry of this cache; what is withdrawn here, is none.
    near.index(key, metadata_of(digest))
    near.index(key, metadata_of(digest, note="2"))
    assert "Fetched from" not in near.request("GET", f"/-/page/key?key={key}")[2].decode()
    numbers = [str(row["number"]) for row in json.loads(near.admin("entry", "list", key, "--json").stdout)]
    near.admin("entry", "withdraw", *numbers, "--reason", "test")
    assert ask(near, [f"shadir/{key}"], target="/-/have") == ["no"]


# Pages.nearness.
def test_the_page_says_whose_near_cache_it_is_and_operators_how_much_it_has(near, upstream, stack):
    near.admin("collect", "fetched")
    home = lambda stack, **how: stack.request("GET", "/", **how)[2].decode()
    pid = near.pid("page")
    os.kill(pid, 9)
    eventually(lambda: near.request("GET", "/")[0] == 200)
    document = home(near)
    assert "near cache of" in document and f"127.0.0.1:{upstream.port}" in document and "<strong>second</strong>" in document
    assert "Of what was fetched" not in document
    figures = re.findall("<dt>([^<]*fetched)</dt><dd>([^<]*)</dd>", document)
    assert [what.split()[0] for what, _ in figures] == ["keys", "blobs", "fetched"] and all(number != "0" for _, number in figures)
    document = home(near, context=near.tls())
    assert re.search("Of what was fetched, .*blobs? with .* are here, and the lists of .*keys?", document)
    for link in re.findall(r'href="(/-/page/report/(?:near_cache|upstream_faults|fetched_keys))"', document):
        assert near.request("GET", link, context=near.tls())[0] == 200
    assert "near cache" not in home(stack)


# ScrubCommand, UpstreamSource.
def test_a_scrub_heals_what_it_finds_from_the_upstreams(near, upstream, second):
    (first, data), (lied, lied_data), (nowhere, nowhere_data) = (
        (upstream.has(data), data) for data in (bytes_of(70_000) for _ in range(3)))
    for body in data, lied_data, nowhere_data:
        near.upload(body)
    second.has(lied_data)
    del upstream.blobs[nowhere]
    upstream.answer = Corrupting({lied})
    for digest in first, lied, nowhere:
        damage(near.blob_file(digest))
    sums, said = scrub(near)
    assert (sums["damaged"], sums["healed"], sums["open"]) == (3, 2, 1), said
    assert near.blob_file(first).read_bytes() == data and near.blob_file(lied).read_bytes() == lied_data
    assert quarantined(near, nowhere).exists() and get(near, nowhere)[0] == 404
    found = report(near)
    assert (found[first]["healed_by"], found[lied]["healed_by"], found[nowhere]["healed_by"]) == ("first", "second", None)
    # What an upstream has later heals it as well.
    upstream.answer = None
    upstream.has(nowhere_data)
    assert scrub(near, "--seconds", "0")[0]["open"] == 0 and get(near, nowhere)[::2] == (200, nowhere_data)


# UpstreamSource.fetch: an upstream that is away is asked once.
def test_a_scrub_whose_upstreams_are_away_ends_soon(near, upstream, second):
    bodies = [bytes_of(1000) for _ in range(20)]
    digests = [near.upload(body) for body in bodies]
    for digest in digests:
        damage(near.blob_file(digest))
    asked = []
    second.answer = upstream.answer = lambda handler: asked.append(handler.path) or handler.connection.recv(1)
    sums, _ = scrub(near)
    assert (sums["damaged"], sums["open"]) == (20, 20) and len(asked) < 8
    second.answer = upstream.answer = None
    for body in bodies:
        near.upload(body)
    assert scrub(near, "--seconds", "0")[0]["open"] == 0
