"""`shacache-admin ingest-log`: what nginx logged of real downloads is counted once, whatever becomes of the log."""

import gzip
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from datetime import datetime, timezone

import pytest
from cutting import CuttingProxy
from deployed import client_of, metadata_of, new_key
from stack import REPOSITORY, Database, Stack, eventually
from wire import Wire

# Far more than the sockets of both sides hold.
LARGE = 24 << 20


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A cache whose log these tests share."""
    with Stack(tmp_path_factory.mktemp("logged"), ANONYMOUS="1") as stack:
        yield Counted(stack)


@pytest.fixture
def counted(logged):
    """The same, when everything was read and nothing is counted."""
    logged.ingest()
    logged.database.run("TRUNCATE shacache.blob_download, shacache.key_lookup, shacache.download_day")
    return logged



class Counted:
    """A cache of its own, its log and its sums."""

    def __init__(self, stack):
        self.stack = stack
        self.log = stack.state / "log/access.log"
        self.database = Database(stack)

    def ingest(self, *words, check=True):
        """Reads the log when nginx has written down all that was answered; returns what the command said."""
        return self.stack.ingest_log(*words, check=check)

    def blob(self, digest):
        """(whole, partial, probes, bytes) of a blob."""
        rows = self.database.run(
            f"""SELECT sum(whole), sum(partial), sum(probes), sum(bytes) FROM shacache.blob_download
                WHERE sha512 = '\\x{digest}' HAVING count(*) > 0""")
        return tuple(map(int, rows[0])) if rows else None

    def key(self, key):
        """(found, not found, bytes) of a key."""
        rows = self.database.run(f"SELECT found, not_found, bytes FROM shacache.key_lookup WHERE key = '{key}'")
        return tuple(map(int, rows[0])) if rows else None

    def total(self):
        """All that was counted, to see whether it changes."""
        return self.database.run(
            """SELECT 'blob', day, encode(sha512, 'hex'), whole, partial, probes, 0, bytes FROM shacache.blob_download
               UNION ALL SELECT 'key', day, key, found, 0, 0, not_found, bytes FROM shacache.key_lookup
               UNION ALL SELECT kind, day, 'all', whole, partial, probes, not_found, bytes FROM shacache.download_day
               ORDER BY 1, 2, 3""")

    def rotate(self, *more, config="", user=None):
        """As logrotate does it by night, with what `ops/logrotate/shacache` says."""
        shipped = (REPOSITORY / "ops/logrotate/shacache").read_text()
        pid = self.stack.pid("nginx")
        owner = self.log.owner()
        text = shipped.replace("/var/log/shacache/*.log", str(self.log)).replace(
            "invoke-rc.d nginx rotate >/dev/null 2>&1", f"kill -USR1 {pid}"
        ).replace("create 0640 shacache adm", f"create 0640 {owner} {self.log.group()}\n    su root root")
        assert str(pid) in text and owner in text, text
        file = self.stack.state / "rotate.conf"
        file.write_text(text.replace("daily", f"daily\n    {config}"))
        file.chmod(0o644)
        before = self.log.stat().st_ino
        subprocess.run(["logrotate", "--force", "--state", self.stack.state / "rotate.state", file], check=True)
        if "copytruncate" not in config:
            eventually(lambda: self.is_written_to(before))

    def is_written_to(self, old):
        """nginx has let go of the file that it had."""
        self.stack.request("HEAD", "/shadir/x")
        return self.log.stat().st_ino != old and self.log.stat().st_size > 0


def download(stack, digest, **headers):
    """One request to its end; returns what came."""
    status, _, body = stack.request("GET", f"/shacache/{digest}", headers=headers)
    return status, body


def cut(stack, target, after, **headers):
    """A download that its client gives up after having read so much."""
    connection = stack.connect()
    connection.request("GET", target, headers={"Connection": "close", **headers})
    response = connection.getresponse()
    assert len(response.read(after)) == after
    response.close()
    connection.close()


# What counts as what


def test_whole_downloads_are_counted_with_their_bytes(counted):
    data = os.urandom(100_000)
    digest = counted.stack.upload(data)
    for target in f"/shacache/{digest}", f"/shacache/cache/{digest}", f"/shacache/{digest.upper()}?x=1":
        assert counted.stack.request("GET", target)[2] == data
    assert counted.stack.request("GET", f"/{digest}", headers={"Host": "shacache.example.org"})[2] == data
    assert counted.stack.request("GET", f"/shacache/{digest}", context=counted.stack.tls(False))[2] == data
    url = f"{counted.stack.env['SHACACHE_URL']}/%{ord(digest[0]):02x}{digest[1:]}"
    assert subprocess.run(["curl", "-sf", url], capture_output=True, check=True).stdout == data
    counted.ingest()
    assert counted.blob(digest) == (6, 0, 0, 6 * len(data))


def test_an_empty_blob_is_a_whole_download(counted):
    digest = counted.stack.upload(b"")
    assert download(counted.stack, digest) == (200, b"")
    counted.ingest()
    assert counted.blob(digest) == (1, 0, 0, 0)


def test_a_question_whether_something_is_there_is_a_probe_or_a_lookup(counted):
    stack, digest = counted.stack, counted.stack.upload(os.urandom(100))
    assert stack.request("HEAD", f"/shacache/{digest}")[0] == 200
    assert download(stack, digest, **{"If-None-Match": f'"{digest}"'})[0] == 304
    counted.ingest()
    assert counted.blob(digest) == (0, 0, 2, 0)
    stack.index(key := new_key(), metadata_of(digest))
    assert stack.request("HEAD", f"/shadir/{key}")[0] == 200
    counted.ingest()
    assert counted.key(key) == (1, 0, 0)


def test_what_is_no_download_is_not_counted(counted):
    stack, data = counted.stack, b"never sent"
    digest = stack.upload(data)
    assert download(stack, digest, **{"If-Match": '"other"'})[0] == 412
    assert download(stack, digest, Range="bytes=100-")[0] == 416
    assert stack.request("PUT", f"/shacache/{digest}", data, context=stack.tls())[0] == 201
    assert stack.request("POST", f"/shacache/{digest}", data, context=stack.tls())[0] == 405
    assert stack.request("GET", f"/elsewhere/{digest}")[0] == 404
    counted.ingest()
    assert counted.blob(digest) is None
    missing = hashlib.sha512(data + b"?").hexdigest()
    assert download(stack, missing)[0] == 404
    counted.ingest()
    # Anybody can ask for any name: it is counted, and no row is kept for it.
    assert counted.blob(missing) is None
    assert counted.database.run("SELECT not_found, whole, bytes FROM report.downloads WHERE kind = 'blob'") == [
        ("1", "0", "0")]


def test_ranges_and_resumed_downloads_are_partial_and_add_up(counted):
    data = os.urandom(LARGE)
    digest = counted.stack.upload(data)
    assert download(counted.stack, digest, Range="bytes=10-19") == (206, data[10:20])
    counted.ingest()
    assert counted.blob(digest) == (0, 1, 0, 10)
    # What the deployed client does when it is cut: it goes on by ranges.
    with CuttingProxy(int(counted.stack.settings["HTTP_PORT"]), [9 << 20, 12 << 20]) as proxy:
        client = client_of(counted.stack, **{"download-cache-url": f"http://127.0.0.1:{proxy.port}/shacache"})
        came = client.download(digest)
        assert b"".join(iter(lambda: came.read(1 << 16), b"")) == data
        assert len(proxy.requests) == 3
    counted.ingest()
    whole, partial, probes, sent = counted.blob(digest)
    assert (whole, partial, probes) == (0, 4, 0)
    # The buffers of nginx's and the proxy's sockets held what the proxy threw away.
    assert LARGE + 10 <= sent < LARGE + 10 + 2 * (8 << 20)


# LogLine.download: without its `isComplete`, this is a whole one.
def test_a_download_that_was_cut_far_in_is_partial(counted):
    digest = counted.stack.upload(os.urandom(LARGE))
    cut(counted.stack, f"/shacache/{digest}", 12 << 20)
    counted.ingest()
    whole, partial, probes, sent = counted.blob(digest)
    assert (whole, partial, probes) == (0, 1, 0) and 12 << 20 <= sent < LARGE


# LogLine.download: without its case for what got no further than the buffers, these are partial downloads.
@pytest.mark.parametrize("tls", [False, True])
def test_the_deployed_clients_unread_probe_is_kept_apart(counted, tls):
    data = os.urandom(LARGE)
    digest = hashlib.sha512(data).hexdigest()
    urls = {
        f"download-{what}-url": counted.stack.env[f"UPLOAD_{where}_URL"]
        for what, where in (("cache", "SHACACHE"), ("dir", "SHADIR"))} if tls else {}
    client = client_of(counted.stack, **urls)
    for _ in range(4):
        assert client.upload(io.BytesIO(data)) == digest
    counted.ingest()
    assert counted.blob(digest) == (0, 0, 3, 0)
    assert counted.database.run("SELECT requests, probes, bytes FROM report.downloads WHERE kind = 'blob'") == [
        ("4", "3", "0")]  # before the first upload it asked as well, and there was none
    # And it doesn't make the blob a downloaded one.
    assert (digest,) in counted.database.run("SELECT sha512 FROM report.never_downloaded")
    assert client.download(digest).read() == data
    counted.ingest()
    assert counted.blob(digest) == (1, 0, 3, LARGE)
    assert (digest,) not in counted.database.run("SELECT sha512 FROM report.never_downloaded")


# nginx asks itself again; site.conf.in: `if=$shacache_is_logged`, without which each of these is two lines.
@pytest.mark.parametrize("condition", ["If-Range", "If-Match"])
def test_a_conditional_download_is_counted_once(counted, condition):
    data = os.urandom(50_000)
    digest = counted.stack.upload(data)
    headers = {condition: f'"{digest}"', "Range": "bytes=40000-"}
    assert download(counted.stack, digest, **headers) == (206, data[40000:])
    assert download(counted.stack, digest, **{"If-Range": '"other"', "Range": "bytes=1-"}) == (200, data)
    counted.ingest()
    assert counted.blob(digest) == (1, 1, 0, 10_000 + 50_000)


# log.conf: $realip_remote_addr. With a header's word in its place, a stranger says that he is nginx itself.
def test_nobody_hides_by_a_header(counted):
    stack = counted.stack
    digest = stack.upload(b"seen")
    site = stack.state / "nginx/site.conf"
    before = site.read_text()
    site.write_text(f"set_real_ip_from 127.0.0.1; set_real_ip_from ::1; real_ip_header X-Forwarded-For;\n{before}")
    stack.reload_nginx()
    for _ in range(3):
        assert download(stack, digest, **{"X-Forwarded-For": "127.0.0.2"}) == (200, b"seen")
    site.write_text(before)
    stack.reload_nginx()
    counted.ingest()
    assert counted.blob(digest) == (3, 0, 0, 12)


def test_lookups_are_counted_by_key_as_a_worker_reads_it(counted):
    stack, key = counted.stack, "a b+c/é"
    path = "a%20b+c/%C3%A9"
    stack.index(path, json.dumps({"sha512": "0" * 128}))
    for target in f"/shadir/{path}", f"/shacache/dir/{path}":
        status, _, body = stack.request("GET", target)
        assert status == 200
    assert stack.request("GET", f"/{path}", headers={"Host": "shadir.example.org"})[0] == 200
    assert stack.request("HEAD", f"/shadir/{path}")[0] == 200
    assert stack.request("GET", "/shadir/missing")[0] == 404
    counted.ingest()
    # The HEAD is one, too.
    assert counted.key(key) == (4, 0, 3 * len(body))
    assert counted.key("missing") == (0, 1, 0)
    assert counted.database.run("SELECT requests, whole, not_found, bytes FROM report.downloads WHERE kind = 'key'") == [
        ("5", "4", "1", str(3 * len(body)))]


# Key's == would call these one.
def test_keys_of_other_bytes_are_other_keys(counted):
    for path in "%C3%A9", "e%CC%81", "e%CC%81":
        assert counted.stack.request("GET", f"/shadir/{path}")[0] == 404
    counted.ingest()
    assert (counted.key("é"), counted.key("e\u0301")) == ((0, 1, 0), (0, 2, 0))


HOSTILE = [
    b"/shadir/%00", b"/shadir/%ff", b"/shadir/%zz", b"/shadir/", b"/shadir/..", b"/shadir/\xff\xfe", b"/shacache/../shadir/x",
    b"/shadir/%22%5c%0a", b"/shadir/\"\\", b"/shadir/" + b"k" * 3000, b"/shacache/" + b"g" * 128, b"//shadir/x", b"/%2fshadir/y",
    b"/shadir/');DROP%20TABLE%20shacache.blob;--", b"/shadir/{\"method\":\"GET\"}", b"/shadir/NULL", b"/shadir/x%2c%22y", b"*",
]


def test_hostile_requests_are_logged_and_counted_without_harm(counted):
    statuses = {}
    for target in HOSTILE:
        with Wire(counted.stack) as wire:
            wire.send(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nUser-Agent: \"}\\\xff\x01\r\nConnection: close\r\n\r\n")
            statuses[target] = wire.answer().status
    done = counted.ingest()
    assert ", 0 of them unreadable" in done.stderr, done
    keys = {key for (key,) in counted.database.run("SELECT key FROM shacache.key_lookup")}
    named = {b"/shadir/\"\\": '"\\', b"/shadir/');DROP%20TABLE%20shacache.blob;--": "');DROP TABLE shacache.blob;--",
             b"/shadir/{\"method\":\"GET\"}": '{"method":"GET"}', b"/shadir/NULL": "NULL", b"/shadir/x%2c%22y": 'x,"y'}
    assert keys == set(named.values())
    assert all(statuses[target] == 404 for target in named)


# Reading on


def fill(counted, count):
    """So many downloads of a small blob; returns its name."""
    digest = counted.stack.upload(os.urandom(10))
    fetch(counted, digest, count)
    return digest


def fetch(counted, digest, count):
    connection = counted.stack.connect()
    for _ in range(count):
        connection.request("GET", f"/shacache/{digest}")
        assert len(connection.getresponse().read()) == 10
    connection.close()


def test_reading_twice_adds_nothing(counted):
    digest = fill(counted, 20)
    counted.ingest()
    assert counted.blob(digest) == (20, 0, 0, 200)
    before = counted.total()
    for _ in range(3):
        counted.ingest()
    assert counted.total() == before
    # Nor does another name for the machine, or for the file.
    copy = counted.log.with_name("copy.log")
    shutil.copy(counted.log, copy)
    counted.stack.admin("ingest-log", copy, "--host", "other")
    assert counted.total() == before


# Fails when a log is known by its name or its inode, or a finished one is read no more before its end was.
def test_rotation_loses_and_doubles_nothing(counted):
    digest = fill(counted, 5)
    for step in range(9):
        fetch(counted, digest, 7)
        if step % 4 == 1:
            counted.ingest()  # so several rotations lie between two readings, with compression in them
        counted.rotate()
        fetch(counted, digest, 3)
        if step % 3 == 2:
            counted.ingest()
    names = {file.name for file in counted.log.parent.glob("access.log*")}
    assert {"access.log", "access.log.1", "access.log.2.gz", "access.log.9.gz"} <= names
    counted.ingest()
    assert counted.blob(digest) == (95, 0, 0, 950)
    before = counted.total()
    counted.ingest()
    assert counted.total() == before


def test_lines_that_come_after_the_rename_are_read(counted):
    digest = fill(counted, 5)
    counted.ingest()
    old = counted.log.with_name("access.log.1")
    counted.log.rename(old)  # nginx writes on to it, until it is told
    fetch(counted, digest, 5)
    eventually(lambda: old.read_text().count(digest) >= 10)
    counted.stack.admin("ingest-log", old)
    assert counted.blob(digest) == (10, 0, 0, 100)
    counted.log.touch()
    shutil.chown(counted.log, old.owner(), old.group())
    os.kill(counted.stack.pid("nginx"), signal.SIGUSR1)
    eventually(lambda: counted.is_written_to(old.stat().st_ino))
    fetch(counted, digest, 5)
    counted.ingest()
    assert counted.blob(digest) == (15, 0, 0, 150)


# Fails when a log is known by its inode, which stays.
def test_copytruncate_loses_and_doubles_nothing(counted):
    digest = fill(counted, 5)
    for _ in range(4):
        fetch(counted, digest, 10)
        counted.ingest()
        fetch(counted, digest, 2)
        eventually(lambda: counted.log.read_text().endswith("\n"))
        time.sleep(0.2)  # nginx logs what it has answered, a moment after
        counted.rotate(config="copytruncate")
        fetch(counted, digest, 1)
    counted.ingest()
    assert counted.blob(digest) == (57, 0, 0, 570)


def test_an_unfinished_line_waits_for_its_end(counted):
    digest = fill(counted, 3)
    counted.ingest()
    lines = [line for line in counted.log.read_bytes().splitlines(keepends=True) if digest.encode() in line]
    copy = counted.log.with_name("part.log")
    copy.write_bytes(b"".join(fresh(lines))[:-30])
    counted.stack.admin("ingest-log", copy)
    before = counted.blob(digest)[0]
    whole = copy.read_bytes()
    counted.stack.admin("ingest-log", copy)
    assert counted.blob(digest)[0] == before
    copy.write_bytes(whole + lines[-1][-30:])
    counted.stack.admin("ingest-log", copy)
    assert counted.blob(digest)[0] == before + 1


def fresh(lines):
    """The same lines with other request ids: of another log."""
    for line in lines:
        yield re.sub(rb'"request_id": "[0-9a-f]{32}"', b'"request_id": "%s"' % os.urandom(16).hex().encode(), line)


def test_what_is_no_line_of_ours_is_said_and_skipped(counted):
    digest = fill(counted, 1)
    eventually(lambda: digest in counted.log.read_text())
    (line,) = [line for line in counted.log.read_bytes().splitlines(keepends=True) if b'"GET"' in line and digest.encode() in line]
    garbage = [
        b"\n", b"{\n", b"[]\n", b"null\n", b"\xff\xfe\n", b"\0\0\0\n", b'127.0.0.1 - - "GET /shacache/x"\n',
        line.replace(b'"GET"', b'"GET'), line.replace(b'"sent": "', b'"sent": "-'), line.replace(b"20", b"99999", 1),
        re.sub(rb'"time": "[^"]*"', b'"time": "yesterday"', line), re.sub(rb'"status": "200"', b'"status": "x"', line),
        b"x" * (3 << 20) + b"\n", b'{"a": ' * 400 + b"1" + b"}" * 400 + b"\n", b"[" * 100_000 + b"\n"]
    log = counted.log.with_name("garbage.log")
    log.write_bytes(b"".join(garbage[:4] + list(fresh([line])) + garbage + list(fresh([line])) * 2 + [b'{"time": "20']))
    done = counted.stack.admin("ingest-log", log)
    assert f"{4 + 1 + len(garbage) + 2} new lines, {4 + len(garbage)} of them unreadable" in done.stderr
    assert counted.blob(digest) == (3, 0, 0, 30)
    nothing = counted.log.with_name("nothing.log")
    nothing.write_bytes(b"".join(garbage))
    done = counted.stack.admin("ingest-log", nothing)
    assert "nothing.log: no line of it is as nginx/log.conf says" in done.stderr
    missing = counted.stack.admin("ingest-log", counted.log.with_name("missing.log"), nothing, check=False)
    assert missing.returncode == 1 and "missing.log: there is no such log" in missing.stderr


def test_a_damaged_gzip_is_named_and_the_others_are_read(counted):
    digest = fill(counted, 30)
    counted.ingest()
    lines = [line for line in counted.log.read_bytes().splitlines(keepends=True) if digest.encode() in line]
    log = counted.log.with_name("other.log")
    log.write_bytes(b"".join(fresh(lines)))
    whole = gzip.compress(b"".join(fresh(lines)))
    log.with_name("other.log.2.gz").write_bytes(whole[:len(whole) // 2])  # being written
    log.with_name("other.log.3.gz").write_bytes(whole[:60] + b"\xff" * 100)
    log.with_name("other.log.4.gz").write_bytes(gzip.compress(b"".join(fresh(lines))))
    done = counted.stack.admin("ingest-log", log, check=False)
    assert done.returncode == 1 and "other.log.3.gz: gzip: " in done.stderr, done
    after = counted.blob(digest)[0]
    assert 90 <= after < 120
    log.with_name("other.log.3.gz").unlink()
    log.with_name("other.log.2.gz").write_bytes(whole)
    counted.stack.admin("ingest-log", log)
    assert counted.blob(digest)[0] == 120


# LogFile.fingerprint: a line of an older format has a request id, too. Fails when only lines of today's are looked for.
def test_lines_of_an_older_format_hide_none_that_come_after_them(counted):
    digest = fill(counted, 1)
    counted.ingest()
    (line,) = [line for line in counted.log.read_bytes().splitlines(keepends=True) if b'"GET"' in line and digest.encode() in line]
    older = re.sub(rb'"mount": "[^"]*", ', b"", line)
    assert older != line
    log = counted.log.with_name("upgraded.log")
    log.write_bytes(b"".join(fresh([older] * 9000)))
    assert log.stat().st_size > 2 << 20
    assert "no line of it is as nginx/log.conf says" in counted.stack.admin("ingest-log", log).stderr
    with open(log, "ab") as more:
        more.write(b"".join(fresh([line] * 3)))
    done = counted.stack.admin("ingest-log", log)
    assert "3 new lines, 0 of them unreadable" in done.stderr and "nginx/log.conf" not in done.stderr
    assert counted.blob(digest) == (4, 0, 0, 40)


# Being killed, and many at once


@pytest.fixture
def long(counted):
    """A log of 60,000 lines, with what they amount to."""
    digests = [fill(counted, 1) for _ in range(5)]
    counted.ingest()
    templates = {}
    for line in counted.log.read_bytes().splitlines(keepends=True):
        for digest in digests:
            if digest.encode() in line and b'"GET"' in line:
                templates[digest] = line
    log = counted.log.with_name("long.log")
    chosen = random.Random(0).choices(digests, k=60_000)
    with open(log, "wb") as file:
        file.writelines(fresh(templates[digest] for digest in chosen))
    return log, {digest: (1 + chosen.count(digest), 0, 0, 10 + 10 * chosen.count(digest)) for digest in digests}


# DownloadCounters.addSums: the position and the sums in one transaction. With two, this fails.
def test_killed_at_any_point_it_loses_and_doubles_nothing(counted, long):
    log, expected = long
    chance = random.Random(1)
    kills = 0
    while True:
        run = subprocess.Popen(
            [REPOSITORY / ".build/release/shacache-admin", "ingest-log", log, "--config",
             counted.stack.state / "shacache.toml"], stderr=subprocess.PIPE)
        try:
            run.wait(chance.uniform(0.05, 0.6))
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()
            kills += 1
            if kills < 40:
                continue
            counted.stack.admin("ingest-log", log)
        break
    assert kills > 0
    counted.stack.admin("ingest-log", log)
    assert {digest: counted.blob(digest) for digest in expected} == expected


# DownloadCounters.addSums: WHERE known.position = …; without it, both add the same.
def test_two_at_once_count_once(counted, long):
    log, expected = long
    runs = [
        subprocess.Popen(
            [REPOSITORY / ".build/release/shacache-admin", "ingest-log", log, "--config",
             counted.stack.state / "shacache.toml"], stderr=subprocess.PIPE, text=True)
        for _ in range(4)]
    lines = 0
    for run in runs:
        _, error = run.communicate()
        assert run.returncode == 0, error
        lines += int(error.split()[0])
    assert {digest: counted.blob(digest) for digest in expected} == expected
    assert lines == 60_000


# LineReader and the batches: it never holds a whole log, of 25 MB here.
def test_a_long_log_takes_no_more_memory_than_a_short_one(counted, long):
    log, _ = long
    short = log.with_name("short.log")
    with open(log, "rb") as lines:
        short.write_bytes(b"".join(fresh(next(lines) for _ in range(12_000))))
    assert log.stat().st_size - short.stat().st_size > 16 << 20
    peaks = []
    for file in short, log:
        run = subprocess.Popen(
            [REPOSITORY / ".build/release/shacache-admin", "ingest-log", file, "--config",
             counted.stack.state / "shacache.toml"], stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(run.pid, 0)
        assert status == 0
        peaks.append(usage.ru_maxrss << 10)
    assert peaks[1] - peaks[0] < 8 << 20, peaks


# DownloadCounters.addKeys: without its bound, anybody fills the table.
def test_of_keys_that_nobody_listed_only_so_many_are_kept_on_a_day(counted):
    key = new_key()
    counted.stack.index(key, json.dumps({"sha512": "0" * 128}))
    counted.stack.request("GET", f"/shadir/{key}")
    counted.stack.request("GET", "/shadir/missing")
    counted.ingest()
    lines = counted.log.read_bytes().splitlines(keepends=True)
    (template,) = [line for line in lines if b"/shadir/missing" in line]
    log = counted.log.with_name("flood.log")
    log.write_bytes(b"".join(
        line.replace(b"/shadir/missing", b"/shadir/flood-%d" % number)
        for number, line in enumerate(fresh([template] * 25_000))))
    counted.stack.admin("ingest-log", log)
    (kept, misses), = counted.database.run("SELECT count(*), sum(not_found) FROM shacache.key_lookup WHERE found = 0")
    assert (int(kept), int(misses)) == (10_001, 25_001)
    assert counted.key("") == (0, 15_001, 0)
    assert counted.database.run("SELECT not_found FROM report.downloaded_keys WHERE key IS NULL") == [("15001",)]
    # Those that have a row take nobody's place.
    counted.database.run("DELETE FROM shacache.key_lookup WHERE found = 0 AND (key = '' OR key > 'flood-3')")
    known = [key for (key,) in counted.database.run("SELECT key FROM shacache.key_lookup WHERE found = 0")]
    names = [f"/shadir/{key}".encode() for key in known[:2000]] + [b"/shadir/more-%d" % n for n in range(10_000 - len(known))]
    log.write_bytes(b"".join(line.replace(b"/shadir/missing", name) for name, line in zip(names, fresh([template] * len(names)))))
    counted.stack.admin("ingest-log", log)
    assert counted.key("") is None and counted.key("more-0") == (0, 1, 0)
    # One that is listed is kept all the same.
    counted.stack.request("GET", f"/shadir/{key}")
    other = new_key()
    counted.stack.index(other, json.dumps({"sha512": "0" * 128}))
    counted.stack.request("GET", f"/shadir/{other}")
    counted.ingest()
    assert (counted.key(key)[0], counted.key(other)[0]) == (2, 1)


# The upkeep


# Maintenance.run: without fold_missed_keys, anybody's keys stay for ever.
def test_keys_that_nobody_listed_are_added_up_after_a_month(counted):
    counted.database.run("""
        INSERT INTO shacache.key_lookup (day, key, found, not_found, bytes)
        SELECT now()::date - age, key, found, 2, 10 FROM (VALUES
            (40, 'listed', 1), (40, 'missing', 0), (40, 'other', 0), (40, '', 0), (41, 'missing', 0), (20, 'missing', 0)
        ) AS old (age, key, found)""")
    counted.stack.admin("maintain")
    assert counted.database.run("SELECT now()::date - day, key, found, not_found, bytes FROM shacache.key_lookup ORDER BY 1, 2") == [
        ("20", "missing", "0", "2", "10"), ("40", "", "0", "6", "30"), ("40", "listed", "1", "2", "10"), ("41", "", "0", "2", "10")]


# Fails when a month is added up that is to be kept by day, or twice.
def test_downloads_are_added_up_by_month_when_that_is_configured(counted):
    digest = "ab" * 64
    counted.database.run(f"""
        INSERT INTO shacache.blob_download (day, sha512, whole, partial, probes, bytes)
        SELECT day, '\\x{digest}', 1, 2, 3, 4 FROM generate_series(now() - interval '200 days', now(), '1 day') AS day;
        INSERT INTO shacache.key_lookup (day, key, found, not_found, bytes)
        SELECT day, 'listed', 1, 2, 3 FROM generate_series(now() - interval '200 days', now(), '1 day') AS day;
        INSERT INTO shacache.download_day (day, kind, whole, partial, probes, not_found, bytes)
        SELECT day, 'blob', 1, 2, 3, 0, 4 FROM shacache.blob_download""")
    before = counted.database.run("SELECT whole, partial, probes, bytes FROM report.downloaded_blobs"), counted.database.run(
        "SELECT key, found, not_found, bytes FROM report.downloaded_keys")
    counted.stack.admin("maintain")
    assert counted.database.run("SELECT count(*) FROM shacache.blob_download") == [("201",)]
    file = counted.stack.state / "shacache.toml"
    made = file.read_text()
    try:
        file.write_text(f"{made}\n[record]\ndaily-download-months = 2\n")
        assert "download months folded: " in counted.stack.admin("maintain").stderr
        assert "download months folded" not in counted.stack.admin("maintain").stderr
    finally:
        file.write_text(made)
    for table in "blob_download", "key_lookup":
        assert counted.database.run(f"""
            SELECT day, count(*) FROM shacache.{table} WHERE day < date_trunc('month', now()) - interval '2 months'
            GROUP BY day HAVING count(*) > 1 OR date_trunc('month', day) <> day""") == []
        assert counted.database.run(f"""
            SELECT count(*) = now()::date - (date_trunc('month', now()) - interval '2 months')::date + 1
            FROM shacache.{table} WHERE day >= date_trunc('month', now()) - interval '2 months'""") == [("t",)]
    assert before == (counted.database.run("SELECT whole, partial, probes, bytes FROM report.downloaded_blobs"), counted.database.run(
        "SELECT key, found, not_found, bytes FROM report.downloaded_keys"))


# The views


def test_the_days_are_those_of_utc_and_the_reports_keep_to_their_period(counted):
    digest = fill(counted, 1)
    counted.ingest()
    (line,) = [line for line in counted.log.read_bytes().splitlines(keepends=True) if b'"GET"' in line and digest.encode() in line]
    times = ["2026-01-31T23:59:59+00:00", "2026-02-01T01:30:00+02:00", "2026-02-01T00:00:00-05:30", "2024-02-29T12:00:00+00:00"]
    log = counted.log.with_name("old.log")
    log.write_bytes(b"".join(
        re.sub(rb'"time": "[^"]*"', b'"time": "%s"' % text.encode(), new) for text, new in zip(times, fresh([line] * 4))))
    counted.stack.admin("ingest-log", log)
    today = datetime.now(timezone.utc).date().isoformat()
    assert counted.database.run("SELECT day, whole FROM shacache.blob_download ORDER BY day") == [
        ("2024-02-29", "1"), ("2026-01-31", "2"), ("2026-02-01", "1"), (today, "1")]

    def asked(sql, **settings):
        sets = "".join(f"SET report.{name} = '{value}';" for name, value in settings.items())
        return counted.database.run(sets + sql, role="shacache_report")

    days = "SELECT day FROM report.downloads WHERE kind = 'blob'"
    assert asked(days, since="2026-01-31", until="2026-02-01") == [("2026-02-01",), ("2026-01-31",)]
    assert asked(days, until="2025-01-01") == [("2024-02-29",)]
    blobs = f"SELECT whole, bytes, first_day, last_day, size, account FROM report.downloaded_blobs WHERE sha512 = '{digest}'"
    assert asked(blobs) == [("5", "50", "2024-02-29", today, "10", "demo")]
    assert asked(blobs, since="2026-01-31", until="2026-02-01", account="demo") == [
        ("3", "30", "2026-01-31", "2026-02-01", "10", "demo")]
    assert asked(blobs, account="nobody") == []
    unread = counted.stack.upload(os.urandom(6))
    never = f"SELECT size, account, entries, first_key FROM report.never_downloaded WHERE sha512 = '{unread}'"
    assert asked(never) == asked(never, since=today, until=today, account="demo") == [("6", "demo", "0", "")]
    assert asked(never.replace(unread, digest)) == []
    assert asked(never, until="2026-01-01") == asked(never, account="nobody") == []
    counted.database.run(
        f"""INSERT INTO shacache.withdrawal (actor, target, reason) VALUES ('root', 'blob', 'gone');
            UPDATE shacache.blob SET withdrawal_id = (SELECT max(id) FROM shacache.withdrawal) WHERE sha512 = '\\x{unread}'""")
    assert asked(never) == []


# Fails when downloaded_blobs reads shacache.entry: a mistake that was withdrawn says no more what a blob is.
def test_a_blob_is_known_by_the_oldest_entry_that_is_visible(counted):
    digest = fill(counted, 1)
    counted.ingest()
    keys = new_key(), new_key()
    for key in keys:
        counted.stack.index(key, json.dumps({"sha512": digest}))
    first_key = f"SELECT first_key FROM report.downloaded_blobs WHERE sha512 = '{digest}'"
    assert counted.database.run(first_key) == [(keys[0],)]
    ((number,),) = counted.database.run(f"SELECT id FROM shacache.entry WHERE key = '{keys[0]}'")
    counted.stack.admin("entry", "withdraw", number, "--reason", "a mistake")
    assert counted.database.run(first_key) == [(keys[1],)]
