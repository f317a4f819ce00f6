"""A near cache keeps what it fetched within its bound: `shacache-admin collect fetched`."""

import json
import random
import socket
import subprocess
import threading
import time

import pytest
from exposition import scrape
from nearby import asked, bytes_of, configure, get, is_stored, tables
from stack import REPOSITORY, Database, eventually
from transactions import under_way

MEGABYTE = 1 << 20


@pytest.fixture
def bounded(near, upstream):
    """Of 2 MB; nothing of other tests is left in it."""
    configure(near, tables(("first", upstream)), bytes="2 MB")
    yield near
    Database(near).run("""
        DELETE FROM shacache.entry_before_blob; DELETE FROM shacache.entry; DELETE FROM shacache.key_count;
        DELETE FROM shacache.blob; DELETE FROM shacache.trash; DELETE FROM shacache.account_usage""", role="postgres")


def fetched(near, upstream, size=MEGABYTE, days=0):
    """A blob that is here from there, so long ago; its name and bytes."""
    data = bytes_of(size)
    digest = upstream.has(data)
    assert get(near, digest)[0] == 200 and is_stored(near, data)
    age(near, days, digest)
    return digest, data


def age(near, days, digest):
    Database(near).run(
        f"UPDATE shacache.blob SET created_at = now() - interval '{days} days', last_referenced_at = now() - interval '{days} days' "
        f"WHERE sha512 = '\\x{digest}'")


def collect(near):
    (done,) = json.loads(near.admin("collect", "fetched", "--json").stdout)
    return done


def here(near, *digests):
    return [near.blob_file(digest).exists() for digest in digests]


# FetchedQueue: by what ingest-log counts; without it, the first one would have gone.
def test_the_least_recently_used_goes_and_can_be_fetched_again(bounded, upstream):
    (used, data), (old, old_data), (new, _) = (fetched(bounded, upstream, days=days) for days in (9, 8, 7))
    Database(bounded).run("DELETE FROM shacache.blob_download")
    assert get(bounded, used)[2] == data
    bounded.ingest_log()
    # Of what was fetched a moment ago, the log has its download, too.
    Database(bounded).run(f"DELETE FROM shacache.blob_download WHERE sha512 <> '\\x{used}'")
    done = collect(bounded)
    assert (done["removed_blobs"], done["fetched_bytes"], done["bytes_limit"]) == (1, 2 * MEGABYTE, 2 * MEGABYTE)
    assert here(bounded, used, old, new) == [True, False, True]
    shown = scrape(bounded)
    assert shown.value("shacache_fetched_stored_bytes") == shown.value("shacache_fetched_limit_bytes") == 2 * MEGABYTE
    assert shown.value("shacache_fetched_stored_blobs") == 2
    assert shown.value("shacache_last_run_timestamp_seconds", task="collect fetched") > time.time() - 60
    assert (bounded.store / "trash" / old).exists()
    assert collect(bounded)["freed_bytes"] == MEGABYTE and not (bounded.store / "trash" / old).exists()
    report = json.loads(bounded.admin("report", "collections", "--json").stdout)
    assert [row["removed_blobs"] for row in report if row["policy"] == "[fetching] bytes"] == [1]
    assert get(bounded, old)[::2] == (200, old_data) and is_stored(bounded, old_data)
    assert len(asked(upstream, old)) == 2


# FetchedQueue.page, Pins.holdBlob.
def test_what_somebody_here_answers_for_stays(bounded, upstream):
    names = [fetched(bounded, upstream, days=9) for _ in range(5)]
    (uploaded, data), (named, _), (pinned, _), (withdrawn, _), (other, _) = names
    bounded.upload(data)
    bounded.index("named", json.dumps({"sha512": named}))
    bounded.admin("pin", "add", "--blob", pinned, "--reason", "test")
    bounded.admin("blob", "withdraw", withdrawn, "--reason", "test")
    for digest in uploaded, named, pinned, withdrawn:
        age(bounded, 9, digest)
    configure(bounded, tables(("first", upstream)), bytes="1 MB")
    done = collect(bounded)
    assert (done["removed_blobs"], done["fetched_blobs"]) == (1, 2)
    assert here(bounded, uploaded, named, pinned, other) == [True, True, True, False]
    assert (bounded.store / "withdrawn" / withdrawn).exists()
    assert bounded.admin("check", "--deep", check=False).returncode == 0
    assert bounded.admin("account", "recount", check=False).returncode == 0


# LocalBlobs.isBeingRead: nginx has the file open, which is larger than what the kernel takes ahead of the client.
def test_what_a_client_is_being_sent_stays_and_arrives_whole(bounded, upstream):
    large, data = fetched(bounded, upstream, size=24 * MEGABYTE, days=9)
    other, _ = fetched(bounded, upstream, days=8)
    with socket.create_connection(("localhost", int(bounded.settings["HTTP_PORT"])), timeout=60) as client:
        client.sendall(f"GET /shacache/{large} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = client.recv(1000)
        collect(bounded)
        assert here(bounded, large, other) == [True, False]
        while piece := client.recv(1 << 20):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and body == data
    eventually(lambda: collect(bounded)["fetched_blobs"] == 0)
    assert here(bounded, large) == [False]


# FetchedBound.run, CollectFetched: without a bound, and beside what holds the lock.
def test_without_a_bound_nothing_goes_and_a_collection_is_waited_for(bounded, upstream):
    near = bounded
    configure(near, tables(("first", upstream)))
    digest, _ = fetched(near, upstream, days=9)
    done = collect(near)
    assert (done["removed_blobs"], done["bytes_limit"]) == (0, None) and done["fetched_bytes"] >= MEGABYTE
    assert not scrape(near).of("shacache_fetched_limit_bytes")
    with under_way(near, "SELECT pg_advisory_lock(8, 0)", role="shacache_collector"):
        done = near.admin("collect", "fetched")
        assert done.returncode == 0 and "nothing else may remove blobs" in done.stderr
    assert here(near, digest) == [True]


# record_blobs (adopted), BlobRepository.remove; clients and the collector at once, and nothing waits for an hour.
def test_uploads_and_entries_beside_a_bound_that_is_far_too_small(bounded, upstream):
    configure(bounded, tables(("first", upstream)), bytes="1 MB")
    bodies = {upstream.has(data): data for data in (bytes_of(200_000 + 1000 * number) for number in range(40))}
    deadline, wrong, uploaded, removed = time.monotonic() + 25, [], set(), []

    def read(seed):
        generator = random.Random(seed)
        while time.monotonic() < deadline:
            digest = generator.choice(list(bodies))
            status, _, body = get(bounded, digest)
            # One that is removed between the worker's look and nginx's is a miss.
            if (status, body) != (200, bodies[digest]) and status != 404:
                wrong.append((status, digest))

    def upload(seed):
        generator = random.Random(seed)
        for digest in generator.sample(list(bodies), 12):
            time.sleep(generator.random() * 3)
            assert bounded.upload(bodies[digest]) == digest
            uploaded.add(digest)

    def make_old():
        while time.monotonic() < deadline:
            Database(bounded).run(
                "UPDATE shacache.blob SET last_referenced_at = now() - interval '1 hour' "
                "WHERE account_id IS NULL AND last_referenced_at > now() - interval '1 minute'")

    def remove():
        while time.monotonic() < deadline:
            removed.append(collect(bounded)["removed_blobs"])

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    threads += [threading.Thread(target=upload, args=(9,)), threading.Thread(target=make_old), threading.Thread(target=remove)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(uploaded) == 12 and sum(removed) > 20
    upstream.answer = lambda handler: handler.connection.close()
    try:
        for digest in uploaded:
            assert get(bounded, digest)[::2] == (200, bodies[digest])
    finally:
        upstream.answer = None
    collect(bounded)
    assert bounded.admin("check", "--deep", check=False).returncode == 0
    assert bounded.admin("account", "recount", check=False).returncode == 0


# CollectFetched.every: as the timer does it.
def test_it_holds_by_itself(bounded, upstream):
    words = [REPOSITORY / ".build/release/shacache-admin", "collect", "fetched", "--every", "1", "--config", bounded.state / "shacache.toml"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as collector:
        try:
            names = [fetched(bounded, upstream, days=9)[0] for _ in range(5)]
            eventually(lambda: sum(here(bounded, *names)) == 2)
            eventually(lambda: Database(bounded).run("SELECT count(*) FROM shacache.trash") == [("0",)])
            assert not any((bounded.store / "trash" / name).exists() for name in names)
            assert collector.poll() is None
        finally:
            collector.kill()


@pytest.mark.parametrize("value", ['"much"', "0", '""'])
def test_a_bound_that_is_none_is_refused(near, upstream, tmp_path, value):
    file = tmp_path / "shacache.toml"
    file.write_text((near.state / "shacache.toml").read_text().split("\n[fetching]")[0] + f"\n[fetching]\nbytes = {value}\n")
    done = subprocess.run(
        [REPOSITORY / ".build/release/shacache-admin", "collect", "fetched", "--config", file], capture_output=True, text=True)
    assert done.returncode == 1 and "fetching.bytes" in done.stderr
