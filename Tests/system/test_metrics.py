"""/metrics: what the workers of a host have counted, whoever of them is asked; and the alerts that are made of it."""

import json
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import processes
import pytest
import record
from certificates import fingerprint, openssl
from exposition import scrape
from prometheus import ALERTS, Prometheus
from stack import REPOSITORY, Database, Stack, eventually
from test_database_away import stopped_database, wait_for_database
from tracing import Trace
from wire import Wire

GUIDE = (REPOSITORY / "docs/operate.md").read_text()
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


# Service.count, and each line of its extensions; Desk for what no request of a client's is.
def test_every_request_is_counted_once_whichever_worker_answers_it(two):
    before = scrape(two)
    small, large = os.urandom(1000), os.urandom(LARGE)
    names = [two.upload(small), two.upload(large), two.upload(small)]
    assert put(two, "/shacache/" + "0" * 128, small) == 400
    key = os.urandom(8).hex()
    pairs = [(f'{{"sha512": "{names[0]}"}}', ""), (f'{{"sha512": "{names[1]}"}}', "bm90aGluZw==")]
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
        ("key", "PUT", "201"): 2, ("key", "PUT", "400"): 1, ("key", "GET", "200"): 1, ("key", "GET", "404"): 1,
        ("blob", "HEAD", "200"): 1, ("blob", "GET", "200"): 50 * rounds, ("metrics", "GET", "200"): rounds + 1,
    }
    assert after.since(before, "shacache_refusals_total", "reason") == {
        ("digest mismatch",): 1, ("malformed entry",): 1, ("not authorized",): 1}
    assert after.since(before, "shacache_signatures_total", "result") == {("unsigned",): 1, ("unknown signer",): 1}
    assert after.since(before, "shacache_received_bytes_total", "target") == {
        ("blob",): 3 * 1000 + LARGE, ("entry",): sum(len(json.dumps(pair)) for pair in pairs) + len("[]")}
    assert after.since(before, f"{STAGE}_count", "stage") == {
        ("receive",): 7, ("hash",): 4, ("synchronize",): 3, ("commit",): 5}
    assert after.since(before, "shacache_upload_duration_seconds_count", "target") == {("blob",): 3, ("entry",): 2}
    assert after.sum("shacache_failures_total") == before.sum("shacache_failures_total")
    assert set(after.by("shacache_threads", "worker", "socket").values()) == {8, 4}


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


# Board.takeSlot; LockedFile.contents, which asks for the lock; LockedFile.clear.
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


# The lists in Family.swift; what is in none of them counts as `other`.
@pytest.mark.parametrize(("file", "names", "families"), [
    ("ShaCache/Refusal.swift", r'case \.\w+: "(.*)"', ["shacache_refusals_total"]),
    ("Service/Failure.swift", r'(?:name|case \.\w+): "([a-z -]+)"', ["shacache_failures_total"]),
])
def test_every_reason_has_a_series_of_its_own(two, file, names, families):
    declared = set(re.findall(names, (REPOSITORY / "Sources" / file).read_text()))
    assert len(declared) > 5
    for family in families:
        assert declared <= {dict(labels)["reason"] for labels in scrape(two).of(family, worker="1")}


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


# Service.count. Or anybody could make ShacacheRefusals fire.
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
    marked = record.mark()
    assert two.request("GET", f"/shacache/{'0' * 128}", headers=dict([marked]))[0] == 404
    record.access(two, marked)
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
    stopped = processes.named(two, "postgres")
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        check_that_only_the_database_is_missing(two)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    wait_for_database(two)
    eventually(lambda: scrape(two).value("shacache_database_up") == 1)


def test_sessions_that_are_lost_are_counted(two):
    key = "/shadir/make-run:round-trip"
    eventually(lambda: two.request("GET", key)[0] == 200)
    before = scrape(two)
    Database(two).run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shacache_worker'", role="postgres")
    eventually(lambda: two.request("GET", key)[0] == 200 and scrape(two).since(
        before, "shacache_database_sessions_opened_total"))


# BlobStore.spool.
def test_what_is_left_in_the_spool_is_shown(two):
    file = two.store / "incoming/left"
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
    assert 0 < shown.value("shacache_store_free_bytes") < shown.value("shacache_store_size_bytes")


def seconds(certificate):
    text = openssl("x509", "-in", certificate, "-noout", "-enddate").decode().strip().removeprefix("notAfter=")
    return datetime.strptime(text, "%b %d %H:%M:%S %Y %Z").replace(tzinfo=timezone.utc).timestamp()


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


def test_a_damaged_blob_that_was_asked_for_is_counted(two):
    name = two.upload(os.urandom(1000))
    before = scrape(two)
    file = two.blob_file(name)
    os.truncate(file, 10)
    assert two.request("GET", f"/shacache/{name}")[0] == 404
    assert scrape(two).since(before, "shacache_damaged_blob_reads_total") == {(): 1}
    file.unlink()


# Service.count sets it from BlobStore.isReadOnly.
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
    assert '"level": "warning", "event": "metrics not shared"' in log and "run/nowhere/worker-1: No such file" in log


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


# Catalog.lastRuns, Catalog.lastSurveys.
def test_a_host_that_was_taken_away_is_forgotten_after_a_week(two):
    database = Database(two)
    two.admin("survey")
    database.run("UPDATE shacache.survey SET at = at - interval '6 days'")
    assert scrape(two).of("shacache_last_run_timestamp_seconds", task="survey") and scrape(two).of("shacache_surveyed_files")
    database.run("UPDATE shacache.survey SET at = at - interval '2 days'")
    shown = scrape(two)
    assert not shown.of("shacache_last_run_timestamp_seconds", task="survey") and not shown.of("shacache_surveyed_files")


# DatabaseFigures.init asks no tables of a newer schema.
def test_a_schema_that_is_too_old_is_shown(two):
    database = Database(two)
    newest = "number = (SELECT max(number) FROM shacache.migration)"
    database.run(f"UPDATE shacache.migration SET number = -number WHERE {newest}")
    try:
        shown = scrape(two)
    finally:
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
    # GitHub makes a heading's anchor by lowering it.
    headings = {heading.lower() for heading in re.findall(r"^### (Shacache\w+)$", GUIDE, re.MULTILINE)}
    runbooks = re.findall(r"runbook: docs/operate\.md#(\w+)", ALERTS.read_text())
    assert runbooks == [name.lower() for name in alerts()] and headings == set(runbooks)


def test_the_guide_names_every_metric(two, account):
    Database(two).run(
        f"UPDATE shacache.certificate SET not_after = now() + interval '10 days'"
        f" WHERE fingerprint = '\\x{fingerprint(account[1])}'")
    two.admin("survey")
    named = re.findall(r"^\| `((?:shacache|process)_\w+)`", GUIDE, re.MULTILINE)
    assert sorted(named) == sorted(scrape(two).families)
