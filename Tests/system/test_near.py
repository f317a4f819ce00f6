"""A near cache: what it lacks it fetches from an upstream, through nginx, worker and fetcher."""

import os
import re
import signal
import threading
import time

import pytest
from deployed import client_of
from faulty import Another, Corrupting, Encoded, Endless, Fault, Gated, HugeHeaders, Long, Page, Short, Slow, Stalling, Truncating
from impostor import reply
from nearby import HELD_BACK, Fetching, asked, bytes_of, configure, get, is_stored, leftovers, log_of, name_of, speak_http2, tables
from stack import Database, eventually


@pytest.fixture(scope="module")
def near(near, upstream, second):
    """It has two upstreams, whose stalls are short, and its HTTPS port speaks HTTP/2."""
    configure(near, tables(("first", upstream), ("second", second), stall_timeout="4 seconds", limit="64 MB"))
    speak_http2(near)
    return near


# Service.blob, Fetcher.run, FetchedBlobs.store.
@pytest.mark.parametrize("size", [0, 1, 5000, 3_000_000])
def test_what_is_missing_is_fetched_once_and_stays(near, upstream, size):
    data = bytes_of(size)
    digest = upstream.has(data)
    before = Database(near).run("SELECT count(*), (SELECT coalesce(sum(bytes), 0) FROM shacache.account_usage) FROM shacache.upload")
    status, headers, body = get(near, digest)
    assert (status, body == data, headers["ETag"], headers["Content-Length"]) == (200, True, f'"{digest}"', str(size))
    assert is_stored(near, data) and leftovers(near, digest) == []
    status, headers, body = get(near, digest)
    assert (status, body == data, headers["ETag"]) == (200, True, f'"{digest}"')
    assert len(asked(upstream, digest)) == 1
    assert before == Database(near).run("SELECT count(*), (SELECT coalesce(sum(bytes), 0) FROM shacache.account_usage) FROM shacache.upload")


def test_a_miss_everywhere_is_the_miss_that_it_was(near, stack):
    digest = name_of(bytes_of(10))
    (status, headers, body), here = get(near, digest), get(stack, digest)
    assert (status, body, headers["Content-Type"]) == (404, here[2], here[1]["Content-Type"])
    assert get(near, digest, Range="bytes=5-")[::2] == (404, b"")


# BlobRepository.mayFetch.
def test_what_was_withdrawn_here_is_not_fetched(near, upstream):
    data = bytes_of(1000)
    digest = upstream.has(data)
    near.upload(data)
    near.admin("blob", "withdraw", digest, "--reason", "not wanted")
    assert get(near, digest)[0] == 404
    assert near.request("HEAD", f"/shacache/{digest}")[0] == 404
    assert asked(upstream, digest) == asked(upstream, digest, "HEAD") == []


WAYS = {
    "HTTP/1.1": (["--http1.1"], False), "compressed": (["--http1.1", "--compressed"], False),
    "HTTP/2": (["--http2"], True),
}
CUT = (18, 56, 92)  # curl's codes of an answer that ended before it was whole


# Feeding; Fetch.Progress.sendable.
@pytest.mark.parametrize("way", WAYS)
def test_it_is_sent_while_it_comes_but_for_its_end(near, upstream, tmp_path, way):
    data = bytes_of(4 << 20)
    digest, gate = upstream.has(data), threading.Event()
    upstream.answer = Gated({digest}, gate)
    words, tls = WAYS[way]
    fetching = Fetching(near, digest, tmp_path, *words, tls=tls)
    eventually(lambda: fetching.received > 1 << 20)
    assert not near.blob_file(digest).exists()
    gate.set()
    assert fetching.end() == (0, "200", data)
    assert is_stored(near, data)


def test_the_end_waits_for_the_hash(near, upstream, tmp_path):
    data = bytes_of(4 << 20)
    digest, gate = upstream.has(data), threading.Event()

    class LastByte(Gated):
        def send(self, handler, data, start):
            self.head(handler, data, start)
            for piece in data[:-9], data[-9:-1]:
                handler.wfile.write(piece)
                handler.wfile.flush()
                time.sleep(0.2)  # so that it is two pieces
            self.gate.wait(60)
            handler.wfile.write(data[-1:])

    upstream.answer = LastByte({digest}, gate)
    fetching = Fetching(near, digest, tmp_path)
    # nginx itself may hold some back.
    eventually(lambda: fetching.received > len(data) - HELD_BACK - (64 << 10))
    time.sleep(1)  # for what must not come
    assert fetching.received <= len(data) - HELD_BACK
    gate.set()
    assert fetching.end() == (0, "200", data)


@pytest.mark.parametrize("also", [False, True], ids=["alone", "also elsewhere"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", [Corrupting, Short, Truncating, Long, Stalling, Another])
def test_a_wrong_body_is_a_cut_and_then_another_upstream_is_asked(near, upstream, second, tmp_path, way, fault, also):
    data = bytes_of(3 << 20)
    digest = upstream.has(data)
    upstream.answer = fault({digest})
    words, tls = WAYS[way]
    code, status, body = Fetching(near, digest, tmp_path, *words, tls=tls).end()
    # Where all had come before any of it was sent on, it is a miss.
    is_cut = code in CUT and status == "200" and len(body) <= len(data) - HELD_BACK + 1
    assert is_cut or (code, status, body) == (0, "404", b""), (code, status, len(body))
    assert not near.blob_file(digest).exists()
    assert Database(near).run(f"SELECT FROM shacache.blob WHERE sha512 = '\\x{digest}'") == []
    if fault not in (Short, Stalling):  # these are gone on with
        assert leftovers(near, digest) == []
    tries = len(asked(upstream, digest))
    if also:
        second.has(data)
        assert Fetching(near, digest, tmp_path, *words, tls=tls).end() == (0, "200", data)
        assert eventually(near.blob_file(digest).exists) and near.blob_file(digest).read_bytes() == data
    else:
        code, status, body = Fetching(near, digest, tmp_path, *words, "-H", "Range: bytes=5-", tls=tls).end()
        assert (code, status, body) == (0, "404", b"")
    assert len(asked(upstream, digest)) == tries


# Fetch.restart.
@pytest.mark.parametrize("fault", [Corrupting, Short, Truncating, Long, Stalling, Another, Page, Encoded])
def test_of_what_was_not_begun_the_next_upstream_is_asked_at_once(near, upstream, second, fault):
    data = bytes_of(5000)
    digest = upstream.has(data)
    second.has(data)
    upstream.answer = fault({digest})
    status, _, body = get(near, digest)
    assert (status, body == data) == (200, True)
    assert asked(upstream, digest) and asked(second, digest)


FAULTS = {
    Endless: "too large", Page: "not the blob|wrong bytes", Another: "wrong bytes", HugeHeaders: "not the blob|no answer",
    Encoded: "not the blob", Slow: "interrupted",
}


# Reception.receive (too large), Transfer.takeHeader, Timeouts.leastBytes.
@pytest.mark.parametrize("fault", FAULTS)
def test_what_an_upstream_does_wrong_is_in_the_log_and_a_miss_to_the_client(near, upstream, fault):
    data = bytes_of(5000)
    digest = upstream.has(data)
    upstream.answer = fault({digest})
    assert get(near, digest, Range="bytes=1-")[::2] == (404, b"")
    [line] = [line for line in log_of(near).splitlines() if digest in line and '"upstream failed"' in line]
    assert re.search(f'"reason": "({FAULTS[fault]})"', line) and '"upstream": "first"' in line
    assert not near.blob_file(digest).exists()


# UpstreamServer.mayRedirect.
@pytest.mark.parametrize("host, status", [("127.0.0.1", 200), ("localhost", 404), ("127.0.0.1@localhost", 404)])
def test_redirects_lead_to_configured_hosts_alone(near, upstream, second, host, status):
    data = bytes_of(5000)
    digest = upstream.has(data)
    location = f"http://{host}:{second.port}/shacache/{digest}"
    upstream.answer = lambda handler: digest in handler.path and reply(handler, 302, b"", {"Location": location})
    second.answer = lambda handler: handler.headers["CDN-Loop"] and digest in handler.path and reply(handler, 200, data)
    before = len(asked(second, digest))
    status_here, _, body = get(near, digest)
    if status == 404:  # but for its own turn
        assert f'"reason": "redirect"' in [line for line in log_of(near).splitlines() if digest in line][0]
        assert len(asked(second, digest)) == before + 1
    else:
        assert (status_here, body == data, len(asked(second, digest))) == (200, True, before + 1)


# Feeding.feed, ByteRange.
def test_a_range_is_answered_as_soon_as_it_is_there(near, upstream, tmp_path):
    data = bytes_of(4 << 20)
    digest, gate = upstream.has(data), threading.Event()
    upstream.answer = Gated({digest}, gate)
    first = Fetching(near, digest, tmp_path)
    eventually(lambda: first.received > 1 << 20)
    part = get(near, digest, Range="bytes=1000-1999")
    assert (part[0], part[1]["Content-Range"], part[2]) == (206, f"bytes 1000-1999/{len(data)}", data[1000:2000])
    assert get(near, digest, Range="bytes=1000-1999", **{"If-Range": f'"{digest}"'})[::2] == (206, data[1000:2000])
    assert get(near, digest, Range=f"bytes={len(data)}-")[0] == 416
    assert get(near, digest, **{"If-None-Match": f'"{digest}"'})[0] == 304
    assert get(near, digest, **{"If-Match": '"another"'})[0] == 412
    status, headers, _ = near.request("HEAD", f"/shacache/{digest}")
    assert (status, headers["Content-Length"]) == (200, str(len(data)))
    last = Fetching(near, digest, tmp_path, "-H", "Range: bytes=-10")
    void = Fetching(near, digest, tmp_path, "-H", "Range: bytes=5-9", "-H", 'If-Range: "another"')
    eventually(lambda: void.received > 1 << 20)
    gate.set()
    assert last.end() == (0, "206", data[-10:])
    assert void.end() == first.end() == (0, "200", data)
    assert len(asked(upstream, digest)) == 1 and asked(upstream, digest, "HEAD") == []


def test_conditions_are_answered_before_anybody_is_asked(near, upstream):
    digest = upstream.has(bytes_of(1000))
    assert get(near, digest, **{"If-None-Match": f'"{digest}"'})[0] == 304
    assert get(near, digest, **{"If-Match": '"another"'})[0] == 412
    assert asked(upstream, digest) == []


# FetchResponder.answerHead, Fetcher.find.
def test_a_head_asks_upstream_and_fetches_nothing(near, upstream):
    data = bytes_of(1000)
    digest = upstream.has(data)
    status, headers, _ = near.request("HEAD", f"/shacache/{digest}")
    assert (status, headers["Content-Length"], headers["ETag"]) == (200, "1000", f'"{digest}"')
    assert asked(upstream, digest) == [] and len(asked(upstream, digest, "HEAD")) == 1
    assert near.request("HEAD", f"/shacache/{name_of(bytes_of(10))}")[0] == 404


# Fetcher.join.
def test_any_number_of_clients_make_one_request(near, upstream, tmp_path):
    data = bytes_of(4 << 20)
    digest, gate = upstream.has(data), threading.Event()
    upstream.answer = Gated({digest}, gate)
    early = [Fetching(near, digest, tmp_path, *words, tls=tls) for words, tls in WAYS.values() for _ in range(5)]
    eventually(lambda: all(fetching.received > 1 << 20 for fetching in early))
    late = [Fetching(near, digest, tmp_path) for _ in range(10)]
    eventually(lambda: all(fetching.received > 1 << 20 for fetching in late))
    early.pop().process.kill()  # one that leaves stops nobody else's
    gate.set()
    assert all(fetching.end() == (0, "200", data) for fetching in early + late)
    assert len(asked(upstream, digest)) == 1


class Dripping(Fault):
    """A megabyte for each turn that `turns` allows; notes how much it could send."""

    def __init__(self, wanted):
        super().__init__(wanted)
        self.turns, self.sent = threading.Semaphore(0), 0

    def send(self, handler, data, start):
        self.head(handler, data, start)
        for offset in range(start, len(data), 1 << 20):
            self.turns.acquire(timeout=60)
            handler.wfile.write(data[offset:offset + (1 << 20)])
            self.sent = offset + (1 << 20)


def left_alone(near, upstream, tmp_path, megabytes):
    """A blob of 48 MiB, of which so many came before its only client left; and the upstream's fault, which has the others."""
    data = bytes_of(48 << 20)
    digest = upstream.has(data)
    upstream.answer = dripping = Dripping({digest})
    fetching = Fetching(near, digest, tmp_path)
    dripping.turns.release(megabytes)
    eventually(lambda: fetching.received > megabytes - 1 << 20)
    fetching.process.kill()
    return data, digest, dripping


# Fetch.endIfAbandoned, SpooledBody(of:from:in:).
def test_what_nobody_waits_for_ends_early_and_is_gone_on_with(near, upstream, tmp_path):
    data, digest, dripping = left_alone(near, upstream, tmp_path, 2)
    # nginx notices at once; the fetcher, when more comes. Its connection then takes no more of the upstream.
    eventually(lambda: dripping.turns.release() or "nobody waits for it" in log_of(near), seconds=60)
    assert dripping.sent < len(data) // 2
    [part] = leftovers(near, digest)
    assert part.stat().st_size > 1 << 20
    upstream.answer = None
    assert Fetching(near, digest, tmp_path).end() == (0, "200", data)
    start = int(asked(upstream, digest)[-1][2].removeprefix("bytes=").removesuffix("-"))
    assert 1 << 20 < start < len(data) // 2
    eventually(lambda: leftovers(near, digest) == [])


def test_what_is_more_than_half_here_is_fetched_to_its_end(near, upstream, tmp_path):
    data, digest, dripping = left_alone(near, upstream, tmp_path, 26)
    dripping.turns.release(22)
    assert is_stored(near, data)
    assert len(asked(upstream, digest)) == 1


# slapos.libnetworkcache looks whether a blob is there by a GET that it doesn't read.
def test_a_deployed_clients_probe_fetches_what_is_small(near, upstream):
    data = bytes_of(2 << 20)
    digest = upstream.has(data)
    client_of(near).download(digest).close()
    assert is_stored(near, data)


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_fetcher_is_a_cut_and_the_next_goes_on(near, upstream, tmp_path, way):
    data = bytes_of(4 << 20)
    digest, gate = upstream.has(data), threading.Event()
    upstream.answer = Gated({digest}, gate)
    words, tls = WAYS[way]
    fetching = Fetching(near, digest, tmp_path, *words, tls=tls)
    eventually(lambda: fetching.received > 1 << 20)
    os.kill(near.pid("fetcher"), signal.SIGKILL)
    code, status, body = fetching.end()
    assert code in CUT and status == "200" and data.startswith(body)
    gate.set()
    upstream.answer = None
    # It is started again meanwhile, and requests wait for it.
    assert Fetching(near, digest, tmp_path, *words, tls=tls).end() == (0, "200", data)
    assert re.fullmatch(r"bytes=[0-9]{7}-", asked(upstream, digest)[-1][2])
    assert is_stored(near, data)


def leave(near, digest, part, mode):
    """What a fetcher that was killed has left."""
    file = near.spool / f"fetched-first-{digest}"
    file.write_bytes(part)
    file.chmod(mode)
    os.chown(file, near.spool.stat().st_uid, -1)
    return file


# SpooledBody.init: killed between the seal and the name as a blob; only root may open such a file as it is.
def test_what_was_sealed_is_gone_on_with(near, upstream):
    data = bytes_of(2 << 20)
    digest = upstream.has(data)
    leave(near, digest, data, mode=0o440)
    assert get(near, digest)[::2] == (200, data) and is_stored(near, data)
    assert asked(upstream, digest)[-1][2] == f"bytes={len(data)}-" and leftovers(near, digest) == []


# SpooledBody.init: one that is a blob already must not be written to.
def test_a_second_name_of_a_blob_is_let_go(near, upstream):
    data = bytes_of(3000)
    digest = upstream.has(data)
    part = leave(near, digest, bytes(3000), mode=0o440)
    other = near.spool / "another-name"
    other.hardlink_to(part)
    assert get(near, digest)[::2] == (200, data) and is_stored(near, data)
    assert other.read_bytes() == bytes(3000) and leftovers(near, digest) == []
    other.unlink()


# Reception.init, FetchAttempt.fetch: zeros, as a power cut leaves them.
def test_a_part_that_was_damaged_is_fetched_anew(near, upstream, tmp_path):
    data = bytes_of(2 << 20)
    digest = upstream.has(data)
    leave(near, digest, bytes(1 << 20), mode=0o600)
    # Whoever was sent some of it sees a cut; the upstream is not to blame.
    code, _, body = Fetching(near, digest, tmp_path).end()
    assert code in (0, *CUT) and (body == data or len(body) < len(data))
    assert Fetching(near, digest, tmp_path).end() == (0, "200", data)
    assert is_stored(near, data) and leftovers(near, digest) == []


# Service.blob: a DamagedBlob.
def test_a_damaged_file_is_healed_from_upstream(near, upstream):
    data = bytes_of(3000)
    digest = upstream.has(data)
    near.upload(data)
    file = near.blob_file(digest)
    file.chmod(0o640)
    file.write_bytes(data[:-1])
    assert get(near, digest)[::2] == (200, data)
    eventually(lambda: file.read_bytes() == data)
    assert Database(near).run(f"SELECT account_id IS NULL FROM shacache.blob WHERE sha512 = '\\x{digest}'") == [("f",)]


# admit_blobs, record_blobs: adopted.
def test_an_upload_of_what_was_fetched_makes_it_the_accounts(near, upstream):
    data = bytes_of(3000)
    digest = upstream.has(data)
    assert get(near, digest)[0] == 200 and is_stored(near, data)
    usage = "SELECT coalesce(sum(blobs), 0), coalesce(sum(bytes), 0) FROM shacache.account_usage"
    [(blobs, size)] = Database(near).run(usage)
    near.upload(data)
    assert Database(near).run(usage) == [(str(int(blobs) + 1), str(int(size) + 3000))]
    near.upload(data)
    assert Database(near).run(usage) == [(str(int(blobs) + 1), str(int(size) + 3000))]
    assert "differs" not in near.admin("account", "recount").stdout


# ExpiringSet: Fetcher.absent.
def test_what_no_upstream_has_is_remembered_shortly(near, upstream):
    digest = name_of(bytes_of(10))
    assert [get(near, digest)[0] for _ in range(5)] == [404] * 5
    assert near.request("HEAD", f"/shacache/{digest}")[0] == 404
    assert len(asked(upstream, digest)) == 1 and asked(upstream, digest, "HEAD") == []


# CacheLoop.
def test_a_cache_tells_its_upstream_who_has_passed_a_request_on(near, upstream):
    seen = []
    upstream.answer = lambda handler: seen.append(handler.headers["CDN-Loop"])
    get(near, name_of(bytes_of(10)), **{"CDN-Loop": "other; v=1, shacache-1"})
    [(other, one, own)] = [re.split(", ", value) for value in seen]
    assert (other, one) == ("other", "shacache-1") and re.fullmatch("shacache-[0-9a-f]+;goes-on=1", own)
    # What has passed here already ends here, and so does what has passed too many.
    for loop in own, ", ".join(f"c{number}" for number in range(8)):
        assert get(near, name_of(bytes_of(10)), **{"CDN-Loop": loop})[0] == 404
    assert len(seen) == 1


# sql/page/blob.sql, sql/report/largest_blobs.sql, BlobRepository.mayFetch.
def test_people_and_auditors_see_where_a_blob_came_from(near, upstream):
    data = bytes_of(3000)
    digest = upstream.has(data)
    assert get(near, digest)[0] == 200 and is_stored(near, data)
    assert "<dt>Fetched from</dt><dd>first</dd>" in near.request("GET", f"/-/page/blob/{digest}")[2].decode()
    for report in "largest_blobs", "never_downloaded":
        seen = Database(near).run(f"SELECT account, upstream FROM report.{report} WHERE sha512 = '{digest}'")
        assert seen == [("", "first")]
    near.admin("blob", "withdraw", digest, "--reason", "not wanted")
    assert get(near, digest)[0] == 404 and len(asked(upstream, digest)) == 1
