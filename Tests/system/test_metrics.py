"""/metrics: what the workers of a host have counted, whoever of them is asked; and the alerts that are made of it."""

import json
import os
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import processes
import pytest
from certificates import fingerprint, openssl, self_signed
from deployed import sign
from exposition import Exposition, scrape
from guides import guide, headings
from prometheus import ALERTS, Prometheus
from stack import REPOSITORY, Database, DatabaseError, Stack, eventually
from test_database_away import hanging_database, stopped_database, wait_for_database
from tracing import Trace
from wire import Wire

LARGE = 3_000_000  # from a million bytes on, a worker is asked before the body is received
STAGE = "shacache_upload_stage_duration_seconds"


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A cache with two workers."""
    with Stack(tmp_path_factory.mktemp("metrics"), WORKERS="2") as stack:
        yield stack


@pytest.fixture
def account(two, tmp_path):
    """Its name, its certificate and the key."""
    name = f"a{os.urandom(4).hex()}"
    two.admin("account", "add", name)
    two.admin("certificate", "issue", name, "--out", tmp_path)
    return name, tmp_path / f"{name}.crt", tmp_path / f"{name}.key"


def put(stack, target, body):
    return stack.request("PUT", target, body, context=stack.tls())[0]


# Service.countRequest, and each line of its extensions; RequestHandler for what no request of a client's is.
def test_every_request_is_counted_once_whichever_worker_answers_it(two):
    before = scrape(two)
    small, large = os.urandom(1000), os.urandom(LARGE)
    names = [two.upload(small), two.upload(large), two.upload(small)]
    assert put(two, "/shacache/" + "0" * 128, small) == 400
    key = os.urandom(8).hex()
    first, second = (f'{{"sha512": "{name}"}}' for name in names[:2])
    pairs = [(first, ""), (second, "bm90aGluZw=="), (second, sign(two, second))]
    for pair in pairs:
        two.index(key, *pair)
    assert put(two, f"/shadir/{key}", b"[]") == 400
    assert two.request("POST", "/shacache", large)[0] == 403
    assert two.request("GET", f"/shadir/{key}")[0] == 200
    assert two.request("GET", f"/shadir/{os.urandom(8).hex()}")[0] == 404
    assert two.request("HEAD", f"/shacache/{names[0]}")[0] == 200
    rounds = 0

    def both_have_answered():
        nonlocal rounds
        rounds += 1
        with ThreadPoolExecutor(20) as clients:
            assert set(clients.map(lambda _: two.request("GET", f"/shacache/{names[0]}")[2], range(50))) == {small}
        served = scrape(two).since(before, "shacache_requests_total", "worker", "route")
        return {("1", "blob"), ("2", "blob")} <= served.keys()

    eventually(both_have_answered)
    after = scrape(two)
    # Of the scrapes, each has counted those before it.
    assert after.since(before, "shacache_requests_total", "route", "method", "status") == {
        ("blobs", "POST", "201"): 3, ("blobs", "POST", "403"): 1, ("blob", "PUT", "400"): 1,
        ("key", "PUT", "201"): 3, ("key", "PUT", "400"): 1, ("key", "GET", "200"): 1, ("key", "GET", "404"): 1,
        ("blob", "HEAD", "200"): 1, ("blob", "GET", "200"): 50 * rounds, ("metrics", "GET", "200"): rounds + 1,
    }
    assert after.since(before, "shacache_refusals_total", "reason") == {
        ("digest mismatch",): 1, ("malformed entry",): 1, ("not authorized",): 1}
    assert after.since(before, "shacache_signatures_total", "result") == {
        ("unsigned",): 1, ("unknown signer",): 1, ("verified",): 1}
    assert after.since(before, "shacache_received_bytes_total", "target") == {
        ("blob",): 3 * 1000 + LARGE, ("entry",): sum(len(json.dumps(pair)) for pair in pairs) + len("[]")}
    assert after.since(before, f"{STAGE}_count", "stage") == {
        ("receive",): 8, ("hash",): 4, ("synchronize",): 3, ("commit",): 6}
    assert after.since(before, "shacache_upload_duration_seconds_count", "target") == {("blob",): 3, ("entry",): 3}
    assert after.sum("shacache_failures_total") == before.sum("shacache_failures_total")
    assert set(after.by("shacache_threads", "worker", "socket").values()) == {8, 16}


def test_the_format_is_as_prometheus_wants_it(two):
    two.upload(os.urandom(10))
    shown = scrape(two)
    # Names, units, types and help by its own checker, which says nothing when all is well.
    done = subprocess.run(["promtool", "check", "metrics"], input=shown.text, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert len(set(shown.families)) == len(shown.families)
    histograms = re.findall(r"^# TYPE (\S+) histogram", shown.text, re.MULTILINE)
    assert len(histograms) == 2
    for name in histograms:
        for labels, count in shown.of(f"{name}_count").items():
            buckets = {dict(have)["le"]: value for have, value in shown.of(f"{name}_bucket", **dict(labels)).items()}
            ordered = sorted(buckets, key=float)
            assert [buckets[bound] for bound in ordered] == sorted(buckets.values())
            assert buckets["+Inf"] == count and shown.value(f"{name}_sum", **dict(labels)) >= 0
            assert (ordered[0], ordered[-2]) == ("0.001", "3600")


# MetricsDirectory.takeSlot; LockedFile.contents, which asks for the lock; LockedFile.clear.
def test_a_worker_that_starts_again_has_its_old_name_and_new_figures(two):
    before = scrape(two)
    processes.fresh_worker(two, "worker-1")
    after = eventually(lambda: len((new := scrape(two)).of("shacache_build_info")) == 2 and new)
    start = "process_start_time_seconds"
    # The pid files are the runner's: which of its workers has which slot is theirs to say.
    again = [n for n in ("1", "2") if after.value(start, worker=n) > before.value(start, worker=n)]
    assert len(again) == 1
    (other,) = {"1", "2"} - set(again)
    assert after.value(start, worker=other) == before.value(start, worker=other)
    total = "shacache_requests_total"
    assert after.sum(total, worker=other) >= before.sum(total, worker=other)
    assert after.sum("shacache_received_bytes_total", worker=again[0]) == 0
    assert after.value("shacache_requests_in_flight", worker=again[0], socket="uploads") == 0
    for name in "process_resident_memory_bytes", "process_open_fds":
        assert all(value > 0 for value in after.of(name).values()) and len(after.of(name)) == 2


ADDRESSES = {"127.0.0.2": 200, "::1": 200, "192.0.2.7": 200, "192.0.2.1": 403, "2001:db8::1": 403, "10.0.0.1": 403}


ASKED = [{}, {"Range": "bytes=0-99"}, {"Range": "bytes=5000-"}, {"Range": "Bytes=-7"}, {"Range": "bytes=9000-20000"},
         {"Range": "bytes=20000-"}, {"Range": "bytes=x"}, {"Range": "bytes=7"}, {"Range": "lines=1-2"},
         {"If-None-Match": "*"}, {"If-Match": '"x"'}, {"If-Match": "*"}, {"If-Match": "*", "Range": "bytes=1-2"},
         {"If-Range": '"x"', "Range": "bytes=1-2"}]


def logged(stack):
    """The figures once the access log is read as far as it goes."""
    stack.ingest_log()
    return scrape(stack)


def sent_since(stack, before):
    return logged(stack).since(before, "shacache_logged_sent_bytes_total", "kind").get(("blob",), 0)


# Of a request that sends nothing there is nothing to wait for: so one that sends a byte goes last.
@pytest.mark.parametrize("headers", ASKED, ids=str)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_bytes_of_a_download_are_counted_as_nginx_sends_them(two, method, headers):
    name, last = two.upload(os.urandom(10_000)), two.upload(os.urandom(1))
    before = logged(two)
    status, _, body = two.request(method, f"/shacache/{name}", headers=headers)
    assert two.request("GET", f"/shacache/{last}")[0] == 200
    sent = len(body) if status in (200, 206) else 0
    eventually(lambda: sent_since(two, before) == sent + 1)


def test_several_ranges_count_with_what_stands_between_them(two):
    name = two.upload(os.urandom(1000))
    for ranges, count in (("0-9, 20-29", 20), ("0-599,100-699", 1000)):
        before = logged(two)
        body = two.request("GET", f"/shacache/{name}", headers={"Range": f"bytes={ranges}"})[2]
        assert len(body) >= count
        eventually(lambda: sent_since(two, before) == len(body))


def test_an_if_range_that_holds_counts_once(two):
    name = two.upload(os.urandom(1000))
    before = logged(two)
    headers = {"If-Range": f'"{name}"', "Range": "bytes=0-9"}
    assert two.request("GET", f"/shacache/{name}", headers=headers)[0] == 206
    eventually(lambda: sent_since(two, before) == 10)


def test_the_bytes_of_lists_and_of_messages_are_counted_apart(two):
    two.index(key := os.urandom(8).hex(), '{"sha512": "' + "0" * 128 + '"}')
    before = scrape(two)
    listed = two.request("GET", f"/shadir/{key}")[2]
    assert two.request("HEAD", f"/shadir/{key}")[0] == 200
    refused = two.request("GET", "/shacache/nothing")[2]
    assert two.request("GET", "/shadir/nothing-here", headers={"Range": "bytes=1-"})[2] == b""
    sent = scrape(two).since(before, "shacache_sent_bytes_total", "target")
    # The scrape before is among the messages.
    assert sent == {("entry",): len(listed), ("message",): len(refused) + len(before.text.encode())}


# ingest-log; DatabaseFigures.loggedBytes.
def test_what_the_access_log_says_was_sent_is_shown(two):
    name = two.upload(os.urandom(10_000))
    before = logged(two)
    assert len(two.request("GET", f"/shacache/{name}")[2]) == 10_000
    assert logged(two).since(before, "shacache_logged_sent_bytes_total", "kind") == {("blob",): 10_000}


# http.conf: $shacache_health; health.conf: MONITOR; Service.requireOperator.
@pytest.mark.parametrize("address", ADDRESSES)
def test_this_machine_and_its_monitors_see_them_and_no_stranger(elsewhere, address):
    for context in None, elsewhere.tls(False), elsewhere.tls():
        with Wire(elsewhere, context) as wire:
            answer = wire.request("GET", "/metrics", headers=[("X-Test-Address", address)])
            assert answer.status == ADDRESSES[address], answer
            if answer.status == 403:
                assert answer.line == "metrics are for monitors and operators"


def test_an_operator_sees_them_from_anywhere_until_its_certificate_is_revoked(elsewhere, tmp_path):
    name = f"a{os.urandom(4).hex()}"
    elsewhere.admin("account", "add", name)
    elsewhere.admin("certificate", "issue", name, "--out", tmp_path)
    certificate = tmp_path / f"{name}.crt"
    context = elsewhere.tls(certificate, tmp_path / f"{name}.key")

    def ask(wire):
        return wire.request("GET", "/metrics", headers=[("X-Test-Address", "192.0.2.1")]).status

    def allow(*roles):
        elsewhere.admin("account", "set", name, *(word for role in roles for word in ("--role", role)))

    with Wire(elsewhere, context) as wire:
        assert ask(wire) == 403
        allow("operator")
        assert ask(wire) == 200
        allow("blobs", "entries", "withdraw")
        assert ask(wire) == 403
        allow("blobs", "operator")
        assert ask(wire) == 200
        elsewhere.admin("account", "disable", name)
        assert ask(wire) == 403
        elsewhere.admin("account", "enable", name)
        assert ask(wire) == 200
        elsewhere.admin("certificate", "revoke", fingerprint(certificate))
        assert ask(wire) == 403


def test_what_looks_like_a_header_of_nginxs_makes_nobody_a_monitor(elsewhere):
    with Wire(elsewhere) as wire:
        for name in "Monitor", "MONITOR", "HTTP_MONITOR", "Purpose":
            headers = [("X-Test-Address", "192.0.2.1"), (name, "1")]
            assert wire.request("GET", "/metrics", headers=headers).status == 403


# Service.countRequest. Or anybody could make ShacacheRefusals fire.
def test_what_strangers_are_refused_here_counts_as_a_request_and_no_refusal(elsewhere):
    before = scrape(elsewhere)
    with Wire(elsewhere) as wire:
        assert wire.request("GET", "/metrics", headers=[("X-Test-Address", "192.0.2.1")]).status == 403
    after = scrape(elsewhere)
    refused = {"name": "shacache_requests_total", "route": "metrics", "status": "403"}
    assert after.sum(**refused) == before.sum(**refused) + 1
    assert after.by("shacache_refusals_total", "reason") == before.by("shacache_refusals_total", "reason")


def test_among_keys_it_is_a_key(two):
    key = f"metrics-{os.urandom(4).hex()}"
    assert two.request("GET", "/metrics", headers={"Host": "shadir.example.org"})[0] == 404
    for path in "/metrics/", "/metrics/x", "/x/../metrics", "//metrics", "/%6detrics", f"/{key}":
        assert two.request("GET", path)[0] == 404, path
    assert two.request("GET", "/metrics?x=1")[0] == 200
    assert two.request("GET", "/metrics", headers={"Host": "shacache.example.org"})[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_they_are_only_read(two, method):
    status, headers, _ = two.request(method, "/metrics", headers={"Content-Length": "0"})
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert two.request("GET", "/metrics", b"body")[0] == 413


def test_a_scrape_is_not_in_the_access_log(two):
    scrape(two)
    two.wait_for_access_log()
    assert "/metrics" not in [
        line for text in (two.state / "log/access.log").read_text().splitlines()
        for line in re.findall(r'"GET", "uri": "(/metrics)".*"status": "200"', text)]


def check_that_only_the_database_is_missing(stack):
    begun = time.monotonic()
    shown = scrape(stack)
    # Prometheus waits so long. Configuration.metricsDatabase: other statements of workers may take ten seconds and more.
    assert time.monotonic() - begun < 10
    assert shown.value("shacache_database_up") == 0
    assert not shown.of("shacache_database_schema") and not shown.of("shacache_accounts_first_expiry_timestamp_seconds")
    assert shown.value("shacache_store_free_bytes") > 0 and len(shown.of("shacache_build_info")) == 2


# DatabaseFigures.init takes no error for more than it is.
def test_without_the_database_the_rest_is_shown(two):
    assert scrape(two).value("shacache_database_up") == 1
    with stopped_database(two):
        check_that_only_the_database_is_missing(two)
        assert two.request("GET", "/shadir/make-run:round-trip")[0] == 503
        lost = scrape(two)
        assert lost.sum("shacache_failures_total", reason="database unavailable") > 0
        assert lost.sum("shacache_database_errors_total") > 0
    wait_for_database(two)
    shown = scrape(two)
    assert (shown.value("shacache_database_up"), shown.value("shacache_database_schema")) == (
        1, shown.value("shacache_needed_schema"))


def test_a_database_that_hangs_holds_up_no_scrape_for_long(two):
    # With a session, so that it is the statement that hangs.
    eventually(lambda: scrape(two).value("shacache_database_up") == 1)
    with hanging_database(two):
        check_that_only_the_database_is_missing(two)
    wait_for_database(two)
    eventually(lambda: scrape(two).value("shacache_database_up") == 1)


# RequestHandler.work, Connection.measured.
def test_threads_that_wait_for_the_database_are_at_work_and_their_waiting_is_counted(two):
    waited, statements = "shacache_database_wait_seconds_total", "shacache_database_statements_total"
    key = "/shadir/make-run:round-trip"
    eventually(lambda: two.request("GET", key)[0] == 200)
    before = scrape(two)
    # Who looks is not at work.
    assert before.sum("shacache_requests_in_flight") == 0
    seen, answers = threading.Event(), []

    def insist(*request, **options):
        # A scrape takes some seconds now, and looks at its end who is at work.
        while not seen.is_set():
            answers.append(two.request(*request, **options)[0])

    with ThreadPoolExecutor() as clients, hanging_database(two):
        clients.submit(insist, "GET", key)
        clients.submit(insist, "POST", "/shacache", b"x", context=two.tls())
        busy = {("lookups",): 1, ("uploads",): 1}
        try:
            eventually(lambda: scrape(two).by("shacache_requests_in_flight", "socket") == busy)
        finally:
            seen.set()
    assert set(answers) <= {200, 201, 503}  # they were at work when it came back, or had given up
    wait_for_database(two)
    after = eventually(lambda: not (new := scrape(two)).sum("shacache_requests_in_flight") and new)
    assert after.sum(statements) >= before.sum(statements) + 2
    # Of these seconds the database spent none.
    assert 5 < after.sum(waited) - before.sum(waited) < 120


@pytest.fixture
def watched(start, tmp_path):
    """A cache with one worker that believes X-Test-Address, and an operator who looks from elsewhere: his fingerprint,
    and what he gets to see."""
    stack = start(WORKERS="1")
    site = stack.state / "nginx/site.conf"
    site.write_text(f"set_real_ip_from 127.0.0.1; set_real_ip_from ::1; real_ip_header X-Test-Address;\n{site.read_text()}")
    stack.reload_nginx()
    stack.admin("account", "add", "watcher")
    stack.admin("account", "set", "watcher", "--role", "operator")
    stack.admin("certificate", "issue", "watcher", "--out", tmp_path)
    context = stack.tls(tmp_path / "watcher.crt", tmp_path / "watcher.key")

    def look(context=context):
        begun = time.monotonic()
        status, _, body = stack.request("GET", "/metrics", headers={"X-Test-Address": "192.0.2.1"}, context=context)
        # What Prometheus waits, with room for a busy machine.
        assert time.monotonic() - begun < 9
        return Exposition(body.decode()) if status == 200 else status

    return stack, fingerprint(tmp_path / "watcher.crt"), look


# OperatorCache.remembers; Monitoring.databaseFigures, which is asked once (DatabaseFigures() in figures).
@pytest.mark.parametrize("outage", [stopped_database, hanging_database])
def test_an_operator_is_known_while_the_database_is_away(watched, outage):
    stack, _, look = watched
    assert look().value("shacache_database_up") == 1
    demo = stack.tls()
    assert look(demo) == 403
    with outage(stack):
        with ThreadPoolExecutor() as clients:
            for shown in clients.map(lambda _: look(), range(3)):
                assert shown.value("shacache_threads", socket="lookups") == 8
        assert look().value("shacache_database_up") == 0
    wait_for_database(stack)
    eventually(lambda: look().value("shacache_database_up") == 1)


# OperatorCache.note forgets it.
def test_an_operator_who_is_none_any_more_is_not_known(watched):
    stack, certificate, look = watched
    assert look().value("shacache_database_up") == 1
    stack.admin("certificate", "revoke", certificate)
    assert look() == 403
    with stopped_database(stack):
        assert look() == 503
    wait_for_database(stack)
    assert look() == 403


# Monitoring.figures asks for the certificate each time.
def test_a_revocation_counts_while_the_database_is_there(watched):
    stack, certificate, look = watched
    with ThreadPoolExecutor() as clients:
        assert 403 not in list(clients.map(lambda _: look(), range(20)))
        stack.admin("certificate", "revoke", certificate)
        assert set(clients.map(lambda _: look(), range(20))) == {403}


def test_sessions_that_are_lost_are_counted(two):
    key = "/shadir/make-run:round-trip"
    eventually(lambda: two.request("GET", key)[0] == 200)
    before = scrape(two)
    Database(two).run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shacache_worker'", role="postgres")
    eventually(lambda: two.request("GET", key)[0] == 200 and scrape(two).since(
        before, "shacache_database_sessions_opened_total"))


# LocalBlobs.spool.
def test_what_is_left_in_the_spool_is_shown(two):
    file = two.spool / "left"
    file.write_bytes(bytes(1234))
    hours_ago = time.time() - 3 * 3600
    os.utime(file, (hours_ago, hours_ago))
    try:
        shown = scrape(two)
    finally:
        file.unlink()
    assert (shown.value("shacache_temporary_files"), shown.value("shacache_temporary_bytes")) == (1, 1234)
    assert 0 <= shown.value("shacache_temporary_oldest_age_seconds") - 3 * 3600 < 60
    assert scrape(two).value("shacache_temporary_oldest_age_seconds") == 0


def test_the_room_on_the_disk_is_shown(two):
    shown, disk = scrape(two), os.statvfs(two.store)
    assert shown.value("shacache_store_size_bytes") == disk.f_blocks * disk.f_frsize
    assert shown.value("shacache_store_inodes") == disk.f_files
    assert shown.value("shacache_store_reserved_bytes") == min(disk.f_blocks * disk.f_frsize // 100, 1 << 30)
    # Others use it as well.
    for name, free, all_of_it in (
        ("shacache_store_free_bytes", disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize),
        ("shacache_store_free_inodes", disk.f_favail, disk.f_files),
    ):
        assert 0 < shown.value(name) and abs(shown.value(name) - free) <= 0.01 * all_of_it


def test_the_time_on_processors_is_shown(two):
    before = scrape(two)

    def work():
        two.upload(os.urandom(LARGE))
        return scrape(two).since(before, "process_cpu_seconds_total", "worker")

    eventually(work)


def seconds(certificate):
    text = openssl("x509", "-in", certificate, "-noout", "-enddate").decode().strip().removeprefix("notAfter=")
    return datetime.strptime(text, "%b %d %H:%M:%S %Y %Z").replace(tzinfo=timezone.utc).timestamp()


# CacheSummary.entriesOfFullestKey.
def test_it_is_shown_how_many_entries_the_fullest_key_has(two):
    key, most = os.urandom(8).hex(), "shacache_fullest_key_entries"
    begun = int(scrape(two).value(most))
    for number in range(begun + 1):
        two.index(key, json.dumps({"sha512": "0" * 128, "number": number}))
    assert scrape(two).value(most) == begun + 1


def test_it_is_shown_when_certificates_expire(two, account):
    name, certificate, _ = account
    shown = scrape(two)
    for file in "server.crt", "clients-ca.crt":
        path = two.state / "tls" / file
        assert shown.value("shacache_certificate_expiry_timestamp_seconds", file=str(path)) == seconds(path)
    expiry = "shacache_account_expiry_timestamp_seconds"
    # It is valid for a year.
    assert not shown.of(expiry, account=name)
    Database(two).run(
        f"UPDATE shacache.certificate SET not_after = to_timestamp({time.time() + 10 * 86_400:.0f})"
        f" WHERE fingerprint = '\\x{fingerprint(certificate)}'")
    shown = scrape(two)
    assert abs(shown.value(expiry, account=name) - time.time() - 10 * 86_400) < 60
    assert shown.value("shacache_accounts_first_expiry_timestamp_seconds") == shown.value(expiry, account=name)
    two.admin("certificate", "revoke", fingerprint(certificate))
    assert not scrape(two).of(expiry, account=name)


READABLE, EXPIRY = "shacache_certificate_file_readable", "shacache_certificate_expiry_timestamp_seconds"


@pytest.fixture
def authorities(two):
    """The file in which nginx looks for them; nobody makes nginx read it again."""
    file = two.state / "tls/clients-ca.crt"
    kept = file.read_bytes()
    yield file
    file.write_bytes(kept)


# Exposition.addCertificates: the labels; Certificate.all takes any bytes between two.
def test_two_authorities_number_their_certificates_alike_and_the_file_has_notes_of_any_kind(two, authorities, tmp_path):
    (first, _), (second, _) = (
        self_signed(tmp_path, name, "EC", "-set_serial", "0x0A", "-days", days) for name, days in (("x", 9), ("y", 8)))
    authorities.write_bytes(
        b"\xe9t\xe9\n" + first.read_bytes() + b"\xff\n" + second.read_bytes() + first.read_bytes())
    shown = scrape(two)
    assert shown.value(READABLE, file=str(authorities)) == 1
    assert shown.by(EXPIRY, "file", "subject", "serial").items() >= {
        (str(authorities), "CN=x", "0A"): seconds(first), (str(authorities), "CN=y", "0A"): seconds(second)}.items()


BROKEN = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("content", [b"", b"nothing\n", BROKEN, None], ids=["empty", "text", "broken", "missing"])
def test_a_file_without_a_certificate_that_can_be_read_is_shown(two, authorities, content):
    assert set(scrape(two).of(READABLE).values()) == {1}
    authorities.write_bytes(content) if content is not None else authorities.unlink()
    shown = scrape(two)
    assert shown.value(READABLE, file=str(authorities)) == 0 and not shown.of(EXPIRY, file=str(authorities))
    assert shown.value(READABLE, file=str(two.state / "tls/server.crt")) == 1


def test_one_that_is_broken_hides_no_other(two, authorities):
    expiry = scrape(two).by(EXPIRY, "file")
    authorities.write_bytes(authorities.read_bytes() + BROKEN)
    shown = scrape(two)
    assert shown.value(READABLE, file=str(authorities)) == 0 and shown.by(EXPIRY, "file") == expiry


def test_a_damaged_blob_that_was_asked_for_is_counted(two):
    name = two.upload(os.urandom(1000))
    before = scrape(two)
    file = two.blob_file(name)
    os.truncate(file, 10)
    assert two.request("GET", f"/shacache/{name}")[0] == 404
    assert scrape(two).since(before, "shacache_damaged_blob_reads_total") == {(): 1}
    file.unlink()


# Service.countRequest sets it from LocalBlobs.isReadOnly.
def test_a_worker_that_takes_no_uploads_after_a_failed_fsync_says_so(start, tmp_path):
    stack = start(WORKERS="1")
    assert scrape(stack).value("shacache_store_read_only") == 0
    with Trace([stack.pid("worker-1")], tmp_path / "trace", "trace=fsync", "inject=fsync:error=EIO"):
        assert stack.request("POST", "/shacache", os.urandom(100), context=stack.tls())[0] == 500
    shown = scrape(stack)
    assert shown.value("shacache_store_read_only") == 1
    assert shown.by("shacache_failures_total", "reason") == {("store broken",): 1}
    processes.fresh_worker(stack)
    assert scrape(stack).value("shacache_store_read_only") == 0


# Shacached.recorder, which takes a slot that can't be had for no reason to end.
def test_a_worker_without_a_place_for_its_figures_serves_all_the_same(start):
    stack = start(WORKERS="1")
    file = stack.state / "shacache.toml"
    file.write_text(file.read_text().replace("/run/metrics", "/run/nowhere"))
    processes.fresh_worker(stack)
    stack.upload(os.urandom(10))
    shown = scrape(stack)
    assert shown.sum("shacache_requests_total", route="blobs", worker="0") == 1
    log = (stack.state / "log/worker-1.log").read_text()
    assert '"level": "warning", "event": "metrics not shared"' in log and "run/nowhere/worker-1: no such file" in log


def test_an_alert_fires_when_its_cause_is_made_and_no_longer_when_that_is_gone(two, tmp_path):
    with Prometheus(two, tmp_path / "prometheus") as prometheus:
        eventually(prometheus.is_scraping)
        eventually(lambda: "ShacacheDatabaseAway" not in prometheus.firing())
        with stopped_database(two):
            eventually(lambda: "ShacacheDatabaseAway" in prometheus.firing(), 30)
            assert not {"ShacacheDown", "ShacacheStoreReadOnly"} & prometheus.firing()
        wait_for_database(two)
        eventually(lambda: "ShacacheDatabaseAway" not in prometheus.firing(), 30)


def test_what_timers_do_is_shown_and_what_the_last_survey_found(two):
    kinds = "shacache_surveyed_files"
    name = two.upload(os.urandom(1000))
    two.admin("survey")
    before = scrape(two)
    assert 0 <= time.time() - before.value("shacache_last_run_timestamp_seconds", task="survey") < 60
    file = two.blob_file(name)
    file.rename(file.with_name("away"))
    two.admin("survey")
    lost = scrape(two)
    assert lost.value(kinds, kind="dangling") == before.sum(kinds, kind="dangling") + 1
    file.with_name("away").rename(file)
    two.admin("survey")
    assert scrape(two).sum(kinds, kind="dangling") == before.sum(kinds, kind="dangling")


RUN = "shacache_last_run_timestamp_seconds"


def run_tasks(stack):
    (stack.state / "log/access.log").touch()
    for words in (["maintain"], ["survey"], ["scrub"], ["collect", "apply"], ["ingest-log", stack.state / "log/access.log"]):
        stack.admin(*words)


def ages(stack):
    """How long ago each task last ran, in hours."""
    return {task: round((time.time() - at) / 3600) for (task,), at in scrape(stack).by(RUN, "task").items()}


# TaskRuns.recordRun, and its call in each command. An unused cache's timers are no less alive.
def test_a_run_counts_that_had_nothing_to_do(two):
    run_tasks(two)
    Database(two).run("UPDATE shacache.task_run SET at = at - interval '5 hours'")
    assert ages(two) == {"maintain": 5, "survey": 5, "scrub": 5, "collect": 5, "ingest-log": 5}
    run_tasks(two)
    assert ages(two) == {"maintain": 0, "survey": 0, "scrub": 0, "collect": 0, "ingest-log": 0}


# Maintain.run, IngestLog.run, ScrubCommand.run, CollectApply.run and SurveyCommand.run record it at the end.
def test_a_run_that_failed_does_not_count(two, tmp_path):
    run_tasks(two)
    database = Database(two)
    database.run("UPDATE shacache.task_run SET at = at - interval '5 hours'")
    configuration = two.state / "shacache.toml"
    kept = configuration.read_text()
    function = "EXECUTE ON FUNCTION shacache.drop_upload_months"
    try:
        # Only the last of the upkeep's steps fails.
        configuration.write_text(f"{kept}\n[record]\nretention-months = 1\n")
        database.run(f"REVOKE {function} FROM shacache_admin")
        assert two.admin("maintain", check=False).returncode == 1
        configuration.write_text(kept.replace(str(two.store), str(tmp_path)))
        assert two.admin("survey", check=False).returncode == 1
        assert two.admin("scrub", check=False).returncode == 1
        assert two.admin("collect", "apply", check=False).returncode == 1
    finally:
        configuration.write_text(kept)
        database.run(f"GRANT {function} TO shacache_admin")
    assert two.admin("ingest-log", two.state / "log/nowhere.log", check=False).returncode == 1
    assert ages(two) == {"maintain": 5, "survey": 5, "scrub": 5, "collect": 5, "ingest-log": 5}


# sql/0008_upkeep.sql: the grants.
def test_a_worker_reads_the_runs_and_writes_none(two):
    run_tasks(two)
    with pytest.raises(DatabaseError, match="permission denied"):
        Database(two).run("UPDATE shacache.task_run SET at = now()", role="shacache_worker")


# TaskRuns.latest, StoreAuditReports.latestSums, TaskRuns.forgetHost.
def test_a_host_that_is_silent_is_missed_until_it_is_forgotten(two):
    database = Database(two)
    for words in ["survey"], ["ingest-log", two.state / "log/access.log"]:
        two.admin(*words, "--host", "gone")
    database.run("UPDATE shacache.survey SET at = at - interval '60 days' WHERE host = 'gone'")
    database.run("UPDATE shacache.task_run SET at = at - interval '60 days' WHERE host = 'gone'")
    shown = scrape(two)
    assert len(shown.of(RUN, host="gone")) == 2 and shown.of("shacache_surveyed_files", host="gone")
    two.admin("host", "forget", "gone")
    shown = scrape(two)
    assert not shown.of(RUN, host="gone") and not shown.of("shacache_surveyed_files", host="gone")
    assert database.run("SELECT action, subject FROM shacache.audit ORDER BY id DESC LIMIT 1") == [("host forget", "gone")]
    again = two.admin("host", "forget", "gone", check=False)
    assert (again.returncode, again.stderr) == (1, "shacache-admin: there is no host gone\n")
    two.admin("survey", "--host", "gone")
    assert len(scrape(two).of(RUN, host="gone")) == 1
    two.admin("host", "forget", "gone")


# The upkeep is done for all hosts: TaskRuns.latest.
def test_of_the_upkeep_the_newest_run_counts_wherever_it_was(two):
    run_tasks(two)
    Database(two).run(
        "INSERT INTO shacache.task_run (task, host, at, findings) VALUES ('maintain', 'other', now() - interval '9 days', 7)")
    shown = scrape(two)
    assert len(shown.of(RUN, task="maintain")) == 1 and ages(two)["maintain"] == 0
    assert shown.value("shacache_last_run_findings", task="maintain") == 0


def test_what_the_last_survey_found_is_shown_in_bytes(two):
    two.admin("survey")
    before = scrape(two)
    two.upload(os.urandom(LARGE))
    two.admin("survey")
    grown = scrape(two).since(before, "shacache_surveyed_bytes", "kind")
    assert LARGE <= grown[("unreferenced",)] < LARGE + 100_000


# Maintain.conclude, IngestLog.run.
def test_what_the_tasks_find_wrong_is_shown(two, tmp_path):
    two.upload(os.urandom(100))
    database = Database(two)
    log = two.state / "log/odd.log"
    found = "shacache_last_run_findings"
    database.run("UPDATE shacache.account_usage SET bytes = bytes + 1")
    try:
        assert "the sums of 1 accounts are wrong" in two.admin("maintain").stderr
        two.wait_for_access_log()
        line = json.loads((two.state / "log/access.log").read_text().splitlines()[0])
        log.write_text(json.dumps(line | {"request_id": os.urandom(16).hex()}) + "\nnonsense\n")
        two.admin("ingest-log", log, "--host", "odd")
        shown = scrape(two)
        assert shown.value(found, task="maintain") == 1 and shown.value(found, task="ingest-log", host="odd") == 1
        two.admin("ingest-log", log, "--host", "odd")
        assert scrape(two).value(found, task="ingest-log", host="odd") == 0
    finally:
        database.run("UPDATE shacache.account_usage SET bytes = bytes - 1")
        two.admin("host", "forget", "odd", check=False)
    two.admin("maintain")
    assert scrape(two).value(found, task="maintain") == 0


# DatabaseFigures.init asks no tables of a newer schema.
def test_a_schema_that_is_too_old_is_shown(two):
    database = Database(two)
    # What newer schemas have and older ones lack, as far as the metrics ask for it.
    newer = [("VIEW", "certificate_in_use"), ("TABLE", "task_run"), ("TABLE", "survey"), ("TABLE", "scrub_shelf"), ("TABLE", "download_day"),
             ("TABLE", "key_count")]
    newest = "number = (SELECT max(number) FROM shacache.migration)"
    database.run(f"UPDATE shacache.migration SET number = -number WHERE {newest}")
    for kind, name in newer:
        database.run(f"ALTER {kind} shacache.{name} RENAME TO {name}_of_later")
    try:
        shown = scrape(two)
    finally:
        for kind, name in newer:
            database.run(f"ALTER {kind} shacache.{name}_of_later RENAME TO {name}")
        database.run("UPDATE shacache.migration SET number = -number WHERE number < 0")
    assert shown.value("shacache_database_up") == 1
    assert shown.value("shacache_database_schema") < shown.value("shacache_needed_schema")
    assert not shown.of("shacache_surveyed_files")


def alerts():
    return re.findall(r"- alert: (\w+)", ALERTS.read_text())


def test_each_alert_is_tried_both_ways():
    tried = re.findall(r"- name: (\w+) (fires|keeps quiet)", (ALERTS.parent / "alerts-test.yml").read_text())
    assert sorted(tried) == sorted((name, how) for name in alerts() for how in ("fires", "keeps quiet"))


def test_each_alert_has_a_section_that_says_what_to_do():
    sections = [title for _, title in headings(guide("alerts")) if title.startswith("Shacache")]
    runbooks = re.findall(r"runbook: /usr/share/doc/shacache/alerts\.md#(\w+)", ALERTS.read_text())
    assert runbooks == [name.lower() for name in alerts()] and sections == alerts()


def test_the_guide_names_every_metric(two, account):
    Database(two).run(
        f"UPDATE shacache.certificate SET not_after = now() + interval '10 days'"
        f" WHERE fingerprint = '\\x{fingerprint(account[1])}'")
    run_tasks(two)
    named = re.findall(r"^\| `((?:shacache|process)_\w+)`", guide("reference"), re.MULTILINE)
    # Without upstreams, there is nothing to count of these.
    fetching = {
        "shacache_fetches_total", "shacache_fetched_bytes_total", "shacache_fetches_in_flight", "shacache_fed_clients",
        "shacache_fed_bytes_total", "shacache_upstream_failures_total", "shacache_upstreams_away",
        "shacache_refused_pairs_total", "shacache_near_requests_total", "shacache_fetched_stored_blobs",
        "shacache_fetched_stored_bytes", "shacache_fetched_limit_bytes", "shacache_fetched_keys",
        "shacache_wanted_key_oldest_timestamp_seconds", "shacache_upstream_blobs_total", "shacache_upstream_bytes_total",
        "shacache_upstream_keys_total", "shacache_upstream_errors_total", "shacache_upstream_downloads_total",
        "shacache_upstream_sent_bytes_total", "shacache_upstream_away", "shacache_fetcher_up",
        "shacache_mirror_current_timestamp_seconds", "shacache_mirror_items"}
    # And where nobody may ask for an account, of these.
    asking = {"shacache_account_requests_limit", "shacache_account_request_oldest_timestamp_seconds"}
    assert sorted(named) == sorted(fetching | asking | set(scrape(two).families))
