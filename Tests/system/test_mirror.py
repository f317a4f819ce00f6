"""`shacache-admin mirror`: what an upstream has is fetched ahead, as if clients had asked for it."""

import hashlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest
from administration import ADMIN, assert_refused, listed
from deployed import metadata_of, new_key, sign
from exposition import scrape
from faulty import Corrupting, Gated
from impostor import reply
from nearby import asked, bytes_of, configure, fetcher, get, leftovers, name_of, restart, tables
from notices import Notices
from slapproxy import SlapproxyCache
from stack import Database, Stack, eventually

PATIENCE = 60  # seconds, of a run whose upstream is away (Mirror.patience)


class Feed:
    """An impostor's feed: `lines` are bytes, or dictionaries without a number; `refuse`: what it answers instead."""

    def __init__(self, impostor):
        self.impostor, self.lines, self.numbering, self.refuse = impostor, [], "one-1", None

    def __call__(self, handler):
        if not handler.path.startswith("/-/feed?"):
            return None
        if self.refuse:
            return reply(handler, self.refuse)
        query = dict(part.split("=") for part in handler.path.partition("?")[2].split("&"))
        after, limit = int(query["after"]), int(query["limit"])
        lines = [
            line if isinstance(line, bytes) else json.dumps({"number": number, "at": "2026-11-22T10:30:00Z", **line}).encode()
            for number, line in enumerate(self.lines, 1) if number > after][:limit]
        return reply(handler, 200, b"".join(line + b"\n" for line in lines), {"X-ShaCache-Feed": self.numbering})

    def add(self, data=None, key=None, upload=True):
        """An entry, and its blob."""
        data, key = bytes_of(1000) if data is None else data, key or new_key()
        digest = name_of(data)
        if upload:
            self.impostor.has(data)
        metadata = metadata_of(digest)
        self.impostor.listings.setdefault(key, []).append([metadata, ""])
        self.lines.append({"event": "entry", "key": key, "sha512": digest, "metadata": metadata, "signature": ""})
        return key, digest


@pytest.fixture(scope="module")
def near(near, upstream):
    configure(near, tables(("far", upstream), stall_timeout="4 seconds"))
    return near


@pytest.fixture
def feed(near, upstream):
    """A new one, which nothing is known of."""
    forgotten(near, "far")
    upstream.answer = feed = Feed(upstream)
    return feed


def forgotten(near, *upstreams):
    for name in upstreams:
        near.admin("mirror", "forget", name, check=False)


def mirror(near, *words, status=0, upstream="far"):
    """What a run did, and what it told people."""
    done = near.admin("mirror", upstream, "--json", *words, check=False)
    assert done.returncode == status, (done.stdout, done.stderr)
    return json.loads(done.stdout), done.stderr


def status(near):
    return listed(near, "mirror", "status")


def items(near):
    return [(item["kind"], item["name"], item["state"]) for item in status(near)["items"]]


@contextmanager
def following(near, upstream="far", log=subprocess.DEVNULL):
    """One that follows, for the block."""
    process = subprocess.Popen(
        [ADMIN, "mirror", upstream, "--follow", "--config", near.state / "shacache.toml"],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
        assert process.poll() is None, "it ended"
    finally:
        process.kill()
        process.wait()


def known(near, key):
    """The pairs that were fetched of a key, without a lookup of it."""
    rows = Database(near).run(f"SELECT metadata, signature FROM shacache.fetched_entry WHERE key = '{key}' ORDER BY position")
    return [list(row) for row in rows]


def is_here(near, digest):
    rows = Database(near).run(f"SELECT account_id IS NULL FROM shacache.blob WHERE sha512 = '\\x{digest}'")
    return rows == [("t",)] and near.blob_file(digest).exists()


# Mirror.run, MirrorReading, FetchResponder.answerAhead.
def test_all_that_the_feed_has_is_here_and_the_next_run_takes_what_is_new(near, upstream, feed):
    made = [feed.add() for _ in range(5)]
    made.append(feed.add(key=made[0][0]))
    key, digest = feed.add(data=b"")
    before = Database(near).run("SELECT count(*) FROM shacache.upload")
    sums, said = mirror(near)
    assert (sums["keys"], sums["blobs"], sums["failed"], sums["absent"], "problem" in sums) == (6, 7, 0, 0, False), said
    for key, digest in made:
        assert is_here(near, digest) and [metadata_of(digest), ""] in known(near, key)
    assert sums["bytes"] == 6000 and Database(near).run("SELECT count(*) FROM shacache.upload") == before
    assert Database(near).run(
        f"SELECT name FROM shacache.blob JOIN shacache.upstream ON upstream.id = upstream_id WHERE sha512 = '\\x{digest}'") == [("far",)]
    (row,) = status(near)["mirrors"]
    assert (row["upstream"], row["number"], row["follows"]) == ("far", 7, "no") and row["item_at"].startswith("2026-11-22 10:30:00")
    upstream.requests.clear()
    new = feed.add()
    sums, _ = mirror(near)
    assert (sums["keys"], sums["blobs"]) == (1, 1) and is_here(near, new[1])
    # Not all of it once more.
    assert {path for _, path, _ in upstream.requests if "/shadir/" in path} == {f"/shadir/{new[0]}"}
    assert [path for _, path, _ in upstream.requests if "feed" in path][0].startswith("/-/feed?after=7&")


def test_a_run_says_what_it_did_to_people_too(near, feed):
    feed.add()
    done = near.admin("mirror", "far")
    assert done.stdout == "" and done.stderr == (
        "far: 1 keys, 1 blobs (1000 B) fetched, 0 here already, 0 dropped, 0 absent, 0 failed\n")


# Fetcher.join: one fetch for all.
def test_what_clients_ask_for_meanwhile_comes_once(near, upstream, feed):
    data, gate = bytes_of(1_000_000), threading.Event()
    key, digest = feed.add(data)
    gated = Gated({digest}, gate)
    upstream.answer = lambda handler: feed(handler) or gated(handler)
    results = []
    runs = [threading.Thread(target=lambda: results.append(mirror(near)[0]["failed"])),
            threading.Thread(target=lambda: results.append(get(near, digest)[2] == data))]
    runs[0].start()
    eventually(lambda: asked(upstream, digest))
    runs[1].start()
    time.sleep(0.5)  # so that it waits for it, too
    gate.set()
    for run in runs:
        run.join()
    assert sorted(results) == [0, 1] and len(asked(upstream, digest)) == 1


# MirrorBacklog.fail, MirrorRecord.note: without, the run would end, or forget it.
def test_one_that_fails_is_listed_and_tried_again_and_the_rest_goes_on(near, upstream, feed):
    made = [feed.add(bytes_of(200_000)) for _ in range(4)]
    bad = made[1]
    fault = Corrupting({bad[1]})
    upstream.answer = lambda handler: feed(handler) or fault(handler)
    sums, said = mirror(near, status=1)
    assert (sums["keys"], sums["blobs"], sums["failed"]) == (4, 3, 1)
    assert f"failed: blob {bad[1]}: " in said and "another hash" in said
    assert items(near) == [("blob", bad[1], "failed")]
    assert status(near)["mirrors"][0]["number"] == 4
    # Once more, and not told again.
    sums, said = mirror(near, status=1)
    (item,) = status(near)["items"]
    assert (sums["failed"], item["tries"]) == (1, 2) and "failed: blob" not in said
    upstream.answer = feed
    restart(near)  # it remembers what sent wrong bytes for an hour
    sums, _ = mirror(near)
    assert (sums["blobs"], sums["failed"], items(near)) == (1, 0, []) and is_here(near, bad[1])


def test_what_no_upstream_has_is_listed_and_no_failure(near, upstream, feed):
    data = bytes_of(1000)
    key, digest = feed.add(data, upload=False)
    sums, said = mirror(near)
    assert (sums["keys"], sums["absent"]) == (1, 1) and f"absent: blob {digest}: no upstream has it" in said
    assert items(near) == [("blob", digest, "absent")]
    # When nothing names it any more, it goes from the list.
    upstream.listings[key] = []
    feed.lines.append({"event": "entry hidden", "key": key, "sha512": digest})
    mirror(near)
    mirror(near)
    assert items(near) == [] and known(near, key) == []


# UpstreamFeed, FeedLine.
@pytest.mark.parametrize("line", [
    b"{", b'{"number": 3, "event": "entry"}', b'{"number": 3, "key": "."}', b'{"number": 3, "key": 5}', b"\xff",
    b'{"number": 2, "key": "x", "event": "entry"}', b'{"number": 3, "event": "new", "sha512": "' + b"0" * 128 + b'"}'])
def test_a_line_that_cant_be_read_is_listed_and_the_others_count(near, feed, line):
    first, second = feed.add(), feed.add()
    feed.lines.append(line)
    last = feed.add()
    sums, said = mirror(near, status=1)
    assert (sums["keys"], sums["failed"]) == (3, 1) and all(is_here(near, digest) for _, digest in (first, second, last))
    assert items(near) == [("line", "2", "failed")] and "failed: line 2: " in said
    feed.lines[2] = {"event": "entry", "key": new_key(), "sha512": "0" * 128}
    assert mirror(near)[0]["failed"] == 0 and items(near) == []


@pytest.mark.parametrize("answer, words", [
    (lambda handler: reply(handler, 404), "has no feed"),
    (lambda handler: reply(handler, 403), "it is for operators"),
    (lambda handler: reply(handler, 200, b"<html>"), "is no feed"),
    (lambda handler: reply(handler, 200, b'{"number": 0, "key": "x"}\n', {"X-ShaCache-Feed": "1"}), "don't rise"),
    (lambda handler: reply(handler, 302, headers={"Location": "http://127.0.0.2/-/feed"}), "redirects"),
    (lambda handler: reply(handler, 503), "answers 503"),
    (lambda handler: reply(handler, 200, b" " * (17 << 20), {"X-ShaCache-Feed": "1"}), "more than")])
def test_what_is_no_feed_ends_it_with_the_reason(near, upstream, feed, answer, words):
    upstream.answer = answer
    sums, said = mirror(near, status=1)
    assert words in sums["problem"] and "hint: run it again" in said and sums["keys"] == 0


# MirrorReading.beginAnew: without, what the other numbering has below the position would be left out.
def test_with_another_numbering_it_begins_anew(near, feed):
    for _ in range(3):
        feed.add()
    mirror(near)
    feed.lines, feed.numbering = [], "two-1"
    key, digest = feed.add()
    sums, said = mirror(near)
    assert is_here(near, digest) and "another numbering" in said
    assert status(near)["mirrors"][0]["number"] == 1


def test_a_feed_whose_numbering_changes_all_the_time_ends_it(near, upstream, feed):
    feed.add()

    def restless(handler):
        feed.numbering = os.urandom(4).hex()
        return feed(handler)

    upstream.answer = restless
    assert "all the time" in mirror(near, status=1)[0]["problem"]


# MirrorRecord.begin: each selection has a position of its own.
def test_what_is_chosen_of_a_feed_goes_on_by_itself(near, upstream, feed):
    keys = [f"{prefix}{os.urandom(8).hex()}" for prefix in ("a:", "b:", "a:")]
    made = [feed.add(key=key)[1] for key in keys]
    mirror(near, "--key-prefix", "a:")
    assert [is_here(near, digest) for digest in made] == [True, False, True]
    mirror(near, "--since", "2026-11-22T10:30:01Z")
    assert not is_here(near, made[1])
    mirror(near, "--since", "2026-11-22T10:30:00Z")
    assert is_here(near, made[1])
    assert sorted((row["key_prefix"], row["since"]) for row in status(near)["mirrors"]
                  if row["key_prefix"]) == [("a:", None)] and len(status(near)["mirrors"]) == 3


# UpstreamFeed.start: with pages of a long feed, all of them would be read.
def test_since_finds_its_place_in_a_long_feed(near, upstream, feed):
    feed.lines = [{"event": "entry", "key": "old", "sha512": "0" * 128, "at": "2020-01-01T00:00:00Z"}] * 100_000
    key, digest = feed.add()
    upstream.requests.clear()
    sums, _ = mirror(near, "--since", "2026-11-01")
    assert is_here(near, digest) and sums["keys"] == 1
    assert len([1 for _, path, _ in upstream.requests if "/-/feed" in path]) < 40


# KeyFetcher, UploadRules: as for what is looked up.
def test_where_signatures_are_required_nothing_else_is_mirrored(near, upstream, feed):
    unsigned = feed.add()
    data = bytes_of(1000)
    text = metadata_of(upstream.has(data))
    upstream.listings[unsigned[0]].append([text, sign(near, text)])
    before = (near.state / "shacache.toml").read_text()
    try:
        (near.state / "shacache.toml").write_text(before.replace("[fetching]", '[uploads]\nsignatures = "require"\n[fetching]'))
        restart(near)
        sums, _ = mirror(near)
        assert (sums["blobs"], sums["failed"], known(near, unsigned[0])) == (1, 0, [[text, sign(near, text)]])
        assert is_here(near, name_of(data)) and not is_here(near, unsigned[1]) and asked(upstream, unsigned[1]) == []
    finally:
        (near.state / "shacache.toml").write_text(before)
        restart(near)


def test_keys_are_mirrored_without_a_feed(near, upstream, feed, tmp_path):
    feed.refuse = 404
    made = [feed.add() for _ in range(3)]
    url = f"http://example.org/{os.urandom(8).hex()}/software.cfg"
    release = feed.add(key=hashlib.md5(url.encode()).hexdigest())
    missing = new_key()
    file = tmp_path / "keys"
    file.write_bytes("\n".join([made[0][0], "", made[1][0], missing, "x\ty"]).encode() + b"\n\xff\n")
    sums, said = mirror(near, "--keys", file, "--software-release", url, status=1)
    assert (sums["keys"], sums["blobs"], sums["absent"], sums["failed"]) == (3, 3, 1, 2)
    assert f"absent: key {missing}: no upstream has it" in said
    assert f"failed: {file}, line 5: " in said and f"failed: {file}, line 6: " in said
    assert [is_here(near, digest) for _, digest in (*made, release)] == [True, True, False, True]
    assert items(near) == [("key", missing, "absent")] and status(near)["mirrors"] == []
    feed.add(key=missing)
    # Also what failed before is tried again.
    assert mirror(near, "--software-release", url)[0]["absent"] == 0 and items(near) == []


@pytest.mark.parametrize("words", [
    ["--keys", "x", "--follow"], ["--software-release", "http://x", "--since", "2026-01-01"], ["--key-prefix", ""],
    ["--keys", "x", "--key-prefix", "a"], ["--since", "soon"], ["-j", "0"], ["-j", "33"]])
def test_wrong_usage(near, words):
    assert_refused(near.admin("mirror", "far", *words, check=False), code=64)


def test_an_upstream_that_isnt_configured_and_a_mirror_that_isnt_there(near):
    assert_refused(near.admin("mirror", "nowhere", check=False), "no [[upstream]] named nowhere")
    assert_refused(near.admin("mirror", "forget", "nowhere", check=False), "there is no mirror of nowhere")


# FetchClient: the fetcher is started again, and what was under way is asked for once more.
def test_a_killed_fetcher_costs_nothing(near, upstream, feed):
    data, gate = bytes_of(2_000_000), threading.Event()
    key, digest = feed.add(data)
    others = [feed.add() for _ in range(20)]
    gated = Gated({digest}, gate)
    upstream.answer = lambda handler: feed(handler) or gated(handler)
    results = []
    run = threading.Thread(target=lambda: results.append(mirror(near)[0]))
    run.start()
    eventually(lambda: leftovers(near, digest) and leftovers(near, digest)[0].stat().st_size > 100_000)
    os.kill(fetcher(near), signal.SIGKILL)
    gate.set()
    run.join()
    assert results[0]["failed"] == 0 and is_here(near, digest) and all(is_here(near, name) for _, name in others)


# Mirror.checkTrouble.
@pytest.mark.slow
def test_a_run_without_a_fetcher_ends_after_a_minute(near, feed, tmp_path):
    feed.add()
    configuration = tmp_path / "shacache.toml"
    text = (near.state / "shacache.toml").read_text()
    configuration.write_text(text.replace("/fetch.sock", "/no.sock"))
    begin = time.monotonic()
    done = subprocess.run([ADMIN, "mirror", "far", "--config", configuration], capture_output=True, text=True)
    assert done.returncode == 1 and "no.sock" in done.stderr and time.monotonic() - begin >= PATIENCE
    assert mirror(near)[0]["blobs"] == 1


# Following


def test_one_that_follows_waits_for_an_upstream_that_is_away(near, upstream, feed, tmp_path):
    with open(log := tmp_path / "log", "wb") as output, following(near, log=output):
        first = feed.add()
        eventually(lambda: is_here(near, first[1]))
        feed.refuse = 503
        eventually(lambda: "tries again until it can be read" in log.read_text())
        second = feed.add()
        feed.refuse = None
        eventually(lambda: is_here(near, second[1]))
        assert "its feed can be read again" in log.read_text()


# Fails when it tells so only of what it gets.
def test_one_that_follows_tells_systemd_that_it_gets_on_also_while_the_upstream_is_away(near, feed, monkeypatch):
    with Notices() as notices:
        monkeypatch.setenv("NOTIFY_SOCKET", notices.name)
        with following(near):
            assert notices.next()[1] == "READY=1\nWATCHDOG=1"
            feed.refuse = 503
            notices.skip(5)


def test_one_that_follows_tries_what_is_due(near, upstream, feed):
    with following(near):
        data = bytes_of(1000)
        key, digest = feed.add(data, upload=False)
        eventually(lambda: items(near))
        upstream.has(data)
        restart(near)  # it remembers for half a minute
        Database(near).run("UPDATE shacache.mirror_item SET due_at = now()")
        eventually(lambda: is_here(near, digest))
        eventually(lambda: items(near) == [])


def test_the_metrics_have_how_far_mirrors_are_and_what_fails(near, feed):
    feed.add(upload=False)
    mirror(near)
    Database(near).run("UPDATE shacache.mirror SET current_at = now() - interval '1 hour'")
    figures = scrape(near)
    current = figures.by("shacache_mirror_current_timestamp_seconds", "upstream", "mode")
    assert abs(time.time() - 3600 - current["far", "once"]) < 60 and len(current) == 1
    assert figures.value("shacache_mirror_items", upstream="far", state="absent") == 1
    assert figures.value("shacache_mirror_items", upstream="far", state="failed") == 0
    with following(near):
        current = lambda: scrape(near).of("shacache_mirror_current_timestamp_seconds", mode="follow").values()
        eventually(lambda: [time.time() - at < 60 for at in current()] == [True])


# Mirror.note(FeedFailure), MirrorRecord.begin: without, it would be current.
def test_a_first_run_that_could_not_read_the_feed_has_nothing_and_says_why(near, feed):
    made, feed.refuse = feed.add(), 403
    mirror(near, status=1)
    assert "current_at" not in status(near)["mirrors"][0] or status(near)["mirrors"][0]["current_at"] is None
    (item,) = status(near)["items"]
    assert (item["kind"], item["name"], item["state"]) == ("line", "0", "failed") and "answers 403" in item["reason"]
    assert not scrape(near).of("shacache_mirror_current_timestamp_seconds")
    assert scrape(near).value("shacache_mirror_items", upstream="far", state="failed") == 1
    feed.refuse = None
    assert mirror(near)[0]["failed"] == 0 and is_here(near, made[1]) and items(near) == []
    assert scrape(near).of("shacache_mirror_current_timestamp_seconds") and status(near)["mirrors"][0]["current_at"]


# MirrorSource.keys.
def test_blank_lines_of_a_file_of_keys_are_no_keys(near, feed, tmp_path):
    made = [feed.add() for _ in range(2)]
    (keys := tmp_path / "keys").write_text(f"\n  \n{made[0][0]}\n \t \r\n\n{made[1][0]}\n  ")
    sums, _ = mirror(near, "--keys", keys)
    assert (sums["keys"], sums["blobs"], sums["failed"], sums["absent"]) == (2, 2, 0, 0)


# FetchClient.checkLife: without, the run never ends.
@pytest.mark.slow
def test_a_run_beside_a_fetcher_that_hangs_ends(near, upstream, feed):
    feed.add()
    stopped = fetcher(near)
    os.kill(stopped, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        sums, said = mirror(near, status=1)
        assert "fetch.sock" in sums["problem"] and PATIENCE <= time.monotonic() - begin < PATIENCE + 90, said
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert mirror(near)[0]["blobs"] == 1


# FastCGIClient.probe: a fetcher that is at work is no fetcher that hangs.
@pytest.mark.slow
def test_a_run_waits_for_a_blob_that_takes_long(near, upstream, feed):
    data, gate = bytes_of(1_000_000), threading.Event()
    key, digest = feed.add(data)
    configure(near, tables(("far", upstream), stall_timeout="2 minutes"))
    gated = Gated({digest}, gate)
    upstream.answer = lambda handler: feed(handler) or gated(handler)
    threading.Timer(50, gate.set).start()
    try:
        sums, said = mirror(near)
        assert gate.is_set() and (sums["blobs"], said) == (1, "")
    finally:
        configure(near, tables(("far", upstream), stall_timeout="4 seconds"))


# A real one upstream


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    """A cache whose feed operators may read."""
    with Stack(tmp_path_factory.mktemp("far")) as far:
        far.admin("account", "set", "demo", "--role", "blobs", "--role", "entries", "--role", "withdraw")
        far.admin("account", "add", "near")
        far.admin("account", "set", "near", "--role", "operator")
        far.admin("certificate", "issue", "near", "--out", far.state)
        # shacache-fetcher reads it, too, which isn't root.
        (far.state / "near.key").chmod(0o644)
        yield far


@pytest.fixture(scope="module")
def close(tmp_path_factory, far):
    """A near cache of it, with an operator's certificate there."""
    port = far.settings["HTTP_PORT"]
    with Stack(tmp_path_factory.mktemp("close"), UPSTREAM=f"http://localhost:{port}/shacache") as close:
        configure(close, f"""[[upstream]]
name = "far"
shacache = "http://localhost:{port}/shacache"
shadir = "http://localhost:{port}/shadir"
feed = "https://localhost:{far.settings["HTTPS_PORT"]}/-/feed"
ca-file = "{far.env["CA_FILE"]}"
certificate = "{far.state}/near.crt"
key = "{far.state}/near.key"
""")
        yield close


def put(far, data=None, key=None):
    data, key = bytes_of(1000) if data is None else data, key or new_key()
    digest = far.upload(data)
    far.index(key, metadata_of(digest))
    return key, digest


def numbers(stack, key):
    return [str(row["number"]) for row in listed(stack, "entry", "list", key)]


def withdrawal(stack):
    """The last one's number."""
    return str(listed(stack, "withdrawal", "list")[-1]["number"])


# Service.checkOperator there; UpstreamServer.request here.
def test_the_feed_of_operators_is_read_with_their_certificate_alone(far, close):
    put(far)
    text = (close.state / "shacache.toml").read_text()
    try:
        (close.state / "shacache.toml").write_text(
            "\n".join(line for line in text.splitlines() if not line.startswith(("certificate = ", "key = ")) or "ca/" in line))
        assert "it is for operators" in mirror(close, status=1)[0]["problem"]
    finally:
        (close.state / "shacache.toml").write_text(text)
    assert mirror(close)[0]["failed"] == 0


# KeyFetcher.refreshAnyway, Fetcher.dropIfGone, BlobRepository.drop.
def test_what_is_put_and_withdrawn_there_is_here_within_seconds(far, close):
    with following(close):
        (key, digest), (both, shared) = put(far), put(far)
        far.index(key, second := metadata_of(digest, note="second"))
        eventually(lambda: is_here(close, digest) and is_here(close, shared) and len(known(close, key)) == 2)
        # The list is younger than `fresh`: but for the mirror, lookups would have it for a while yet.
        far.admin("entry", "withdraw", numbers(far, key)[0], "--reason", "test")
        eventually(lambda: known(close, key) == [[second, ""]])
        assert close.entries(key) == [[second, ""]] and is_here(close, digest)
        far.admin("withdrawal", "lift", withdrawal(far))
        eventually(lambda: len(known(close, key)) == 2)
        far.admin("blob", "withdraw", digest, "--reason", "test")
        eventually(lambda: not close.blob_file(digest).exists())
        assert Database(close).run(f"SELECT FROM shacache.blob WHERE sha512 = '\\x{digest}'") == []
        assert get(close, digest)[0] == 404
        assert Database(close).run(f"SELECT actor FROM shacache.audit WHERE action = 'blob drop' AND subject = '{digest}'") == [
            ("upstream:far",)]
        far.admin("withdrawal", "lift", withdrawal(far))
        # It was known to be nowhere, for half a minute.
        eventually(lambda: is_here(close, digest) or items(close))
        if items(close):
            restart(close)
            Database(close).run("UPDATE shacache.mirror_item SET due_at = now()")
        eventually(lambda: is_here(close, digest))


# drop_fetched: account_id, and NOT EXISTS (entry).
def test_what_was_put_here_too_or_is_named_here_stays(far, close):
    owned, named, gone = (bytes_of(1000) for _ in range(3))
    digests = [put(far, data)[1] for data in (owned, named, gone)]
    mirror(close)
    assert all(is_here(close, digest) for digest in digests)
    close.upload(owned)
    close.index(new_key(), metadata_of(digests[1]))
    for digest in digests:
        far.admin("blob", "withdraw", digest, "--reason", "test")
    sums, _ = mirror(close)
    assert sums["dropped"] == 1 and [get(close, digest)[0] for digest in digests] == [200, 200, 404]
    assert mirror(close)[0]["failed"] == 0 and close.admin("check").returncode == 0


# A feed may say what it wants.
def test_a_blob_that_upstream_still_has_stays(near, upstream, feed):
    key, digest = feed.add()
    mirror(near)
    feed.lines.append({"event": "blob hidden", "sha512": digest})
    assert mirror(near)[0]["dropped"] == 0 and is_here(near, digest)
    del upstream.blobs[digest]
    feed.lines.append({"event": "blob hidden", "sha512": digest})
    assert mirror(near)[0]["dropped"] == 1 and not near.blob_file(digest).exists()


def test_the_real_slapproxy_is_mirrored_by_its_keys(tmp_path):
    with SlapproxyCache(tmp_path / "slapproxy") as slapproxy:
        with Stack(tmp_path / "near", UPSTREAM_SHACACHE=slapproxy.cache_url, UPSTREAM_SHADIR=slapproxy.dir_url) as near:
            client, made = slapproxy.client(near), {}
            for number in range(20):
                (file := tmp_path / f"file-{number}").write_bytes(data := bytes_of(5000))
                with file.open("rb") as opened:
                    client.upload(opened, key := new_key(), urlmd5="x", file_name="file")
                made[key] = data
            (keys := tmp_path / "keys").write_text("".join(f"{key}\n" for key in made))
            assert "has no feed" in mirror(near, status=1, upstream="upstream-1")[0]["problem"]
            sums, _ = mirror(near, "--keys", keys, upstream="upstream-1")
            assert (sums["keys"], sums["blobs"], sums["failed"]) == (20, 20, 0)
            slapproxy.stop()
            for key, data in made.items():
                assert near.entries(key) and get(near, name_of(data))[::2] == (200, data)


# Interrupted


def fill(stack, directory, count):
    """So many entries with small blobs, by an import."""
    (files := directory / "files").mkdir()
    seed = random.Random("mirror")
    with open(urls := directory / "urls", "w") as listing:
        for number in range(count):
            (files / f"{number}").write_bytes(seed.randbytes(seed.randrange(20, 200)))
            listing.write(f"http://example.org/{number}\t{number}\n")
    stack.admin("import", "tree", files, "--urls", urls, "--account", "demo", "-j", "8")


def contents(stack, table):
    """Every pair with its key and its blob."""
    return set(Database(stack).run(f"SELECT key, metadata, signature, encode(sha512, 'hex') FROM shacache.{table}"))


def interrupted(tmp_path, count, interval):
    """Mirrors so many entries, and is killed five times; seconds that the whole took."""
    with Stack(tmp_path / "far") as far:
        fill(far, tmp_path, count)
        far.configure('[feed]\nreaders = "all"\n')
        port = far.settings["HTTP_PORT"]
        with Stack(tmp_path / "near", UPSTREAM=f"http://localhost:{port}/shacache") as near:
            words = [ADMIN, "mirror", "upstream-1", "-j", "4", "--config", near.state / "shacache.toml"]
            begin, positions = time.monotonic(), []
            for _ in range(5):
                process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                before = int(Database(near).run("SELECT count(*) FROM shacache.blob")[0][0])
                eventually(lambda: int(Database(near).run("SELECT count(*) FROM shacache.blob")[0][0]) >= before + interval, 600)
                process.kill()
                process.wait()
                positions += [row["number"] for row in status(near)["mirrors"]]
                # In one transaction with the position.
                assert status(near)["items"] == []
            assert positions == sorted(positions) and len(contents(near, "fetched_entry")) < count
            sums, said = mirror(near, "-j", "16", upstream="upstream-1")
            seconds = time.monotonic() - begin
            assert (sums["failed"], sums["absent"], status(near)["items"]) == (0, 0, []), said
            assert contents(near, "fetched_entry") == contents(far, "entry") and len(contents(far, "entry")) >= count
            far.stop()
            for (name,) in Database(near).run("SELECT encode(sha512, 'hex') FROM shacache.blob"):
                assert name_of(near.blob_file(name).read_bytes()) == name
            blobs = {row[3] for row in contents(near, "fetched_entry")}
            assert blobs == {name for (name,) in Database(near).run("SELECT encode(sha512, 'hex') FROM shacache.blob")}
            key, _, _, digest = random.choice(sorted(contents(near, "fetched_entry")))
            assert near.entries(key) and get(near, digest)[0] == 200
            return seconds


# MirrorRecord.note: position and items in one transaction; MirrorBacklog.takeOutcome.
def test_a_mirror_that_is_killed_five_times_is_equal_at_the_end(tmp_path):
    interrupted(tmp_path, 1500, 20)


@pytest.mark.slow
def test_a_mirror_of_100000_entries_that_is_killed_five_times_is_equal_at_the_end(tmp_path):
    print(f"{interrupted(tmp_path, 100_000, 12_000):.0f} s")
