"""System calls that fail, by injection: what can't be kept is not acknowledged, and what is there stays readable."""

import hashlib
import json
import os
import subprocess

import processes
import pytest
import record
from history import check_store
from stack import Database, Stack, eventually
from tracing import Trace


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    """A cache with one worker, so that it is the one that a request meets."""
    with Stack(tmp_path_factory.mktemp("faults"), WORKERS="1") as stack:
        yield stack


@pytest.fixture(scope="module")
def known(lone):
    """A blob that was stored when all was well."""
    body = os.urandom(20_000)
    assert lone.request("POST", "/shacache", body, context=lone.tls())[0] == 201
    return body


def post(stack, body):
    return stack.request("POST", "/shacache", body, context=stack.tls())


def superuser(stack, sql):
    subprocess.run(
        ["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-h", stack.state / "run/postgresql", "-U", "postgres", "-d", "postgres",
         "-c", sql], check=True)


def put_entry(stack):
    pair = [json.dumps({"sha512": "0" * 128}), ""]
    return stack.request("PUT", "/shadir/some-key", json.dumps(pair), context=stack.tls())


def name(body):
    return hashlib.sha512(body).hexdigest()


def is_on_record(stack, body):
    return bool(Database(stack).run(f"SELECT 1 FROM shacache.blob WHERE sha512 = '\\x{name(body)}'"))


# Fails without the role's time limit (roles.sql), which is half an hour: an upload that commits later than an hour after
# its day may be missing in the sums of that day.
def test_an_upload_that_hangs_in_its_transaction_is_not_acknowledged(lone, tmp_path):
    assert Database(lone).run("SHOW idle_in_transaction_session_timeout", role="shacache_worker") == [("30min",)]
    limit = "ALTER ROLE shacache_worker SET idle_in_transaction_session_timeout = '{}'"
    superuser(lone, limit.format("1s"))
    try:
        worker = processes.fresh_worker(lone)
        body = os.urandom(1000)
        with Trace([worker], tmp_path / "trace", "trace=fsync", "inject=fsync:delay_enter=3000000:when=2+"):
            assert post(lone, body)[0] == 503
        assert not is_on_record(lone, body)
    finally:
        superuser(lone, limit.format("30min"))
    processes.fresh_worker(lone)
    assert post(lone, body)[0] == 201


@pytest.mark.parametrize("of_what, number", [("the file", 1), ("the directory", 2)])
def test_a_failed_fsync_is_no_201_and_never_tried_again(of_what, number, lone, known, tmp_path):
    # Fails without LocalBlobs.synchronize, which remembers, or without its reading in LocalBlobs.admit.
    worker = processes.fresh_worker(lone)
    body = os.urandom(1000)
    with Trace([worker], tmp_path / "trace", "trace=fsync", f"inject=fsync:error=EIO:when={number}") as trace:
        status, _, line = post(lone, body)
        assert status in (500, 503) and b"fsync" in line
        for refused in (lambda: post(lone, b"small"), lambda: post(lone, bytes(1_200_000)), lambda: put_entry(lone)):
            status, headers, line = refused()
            assert (status, headers["Retry-After"]) == (503, "10") and b"fsync" in line
        assert lone.request("GET", "/-/ready")[0] == 503
        assert lone.request("GET", f"/shacache/{name(known)}")[2] == known
        assert lone.request("GET", "/shadir/make-run:round-trip")[0] == 200
    results = [call.result for call in trace.calls("fsync")]
    assert results == ["0"] * (number - 1) + ["-1"], "an fsync after the one that failed"
    assert not is_on_record(lone, body)
    assert check_store(lone) <= {name(body)}
    # Also when the disk is well again: only who starts the worker again says so.
    assert post(lone, body)[0] == 503
    processes.fresh_worker(lone)
    assert post(lone, body)[0] == 201
    assert check_store(lone) == set()


# A system call, the error that it meets, and the answer.
FAULTS = [("linkat", "EIO", 500), ("linkat", "ENOSPC", 507), ("pread64", "EIO", 500), ("fchmod", "EPERM", 500)]


@pytest.mark.parametrize("call, error, answer", FAULTS)
def test_an_upload_that_a_worker_cannot_store_leaves_nothing_and_the_next_one_is_taken(
    call, error, answer, lone, known, tmp_path
):
    # Fails when the error of `system` (StoreError.swift) or of FileHandle.read is ignored, or without `defer
    # { file.discard() }` and nginx's `clean`.
    worker = processes.fresh_worker(lone)
    body = os.urandom(1000)
    with Trace([worker], tmp_path / "trace", f"trace={call}", f"inject={call}:error={error}:when=1"):
        status, _, line = post(lone, body)
    assert status == answer and line.count(b"\n") == 1 and str(lone.state).encode() not in line
    assert not is_on_record(lone, body)
    assert check_store(lone) == set()
    assert lone.request("GET", f"/shacache/{name(known)}")[2] == known
    assert post(lone, body)[0] == 201


@pytest.mark.parametrize("size", [1000, 1_200_000])
def test_a_body_that_nginx_cannot_write_is_507(size, lone, known, tmp_path):
    # Fails without `error_page 500 =507` and without the answer for 500 in @not_admitted (nginx/uploads.conf).
    body = os.urandom(size)
    options = ["trace=pwrite64,pwritev", "inject=pwrite64,pwritev:error=ENOSPC"]
    with Trace(processes.children(lone.pid("nginx")), tmp_path / "trace", *options):
        status, _, line = post(lone, body)
        assert (status, line) == (507, b"the server could not keep the body, its disk is full: tell its operator\n")
        assert lone.request("GET", f"/shacache/{name(known)}")[2] == known
        assert lone.request("GET", "/shadir/make-run:round-trip")[0] == 200
    assert check_store(lone) == set()
    assert post(lone, body)[0] == 201


def test_a_file_system_without_attributes_serves_whole_blobs_and_no_cut_ones(lone, tmp_path):
    # Fails when FileHandle.setStoredSize throws, or without the look into the database in Service.isIntact.
    worker = processes.fresh_worker(lone)
    body = os.urandom(1000)
    options = ["trace=fsetxattr,fgetxattr", "inject=fsetxattr,fgetxattr:error=EOPNOTSUPP"]
    with Trace([worker], tmp_path / "trace", *options):
        assert post(lone, body)[0] == 201
        assert lone.request("GET", f"/shacache/{name(body)}")[2] == body
        os.truncate(lone.blob_file(name(body)), 500)
        assert lone.request("GET", f"/shacache/{name(body)}")[0] == 404
        assert post(lone, body)[0] == 201
        assert lone.request("GET", f"/shacache/{name(body)}")[2] == body


# Service.isIntact and Answer.event. With and without the attribute that has the size.
@pytest.mark.parametrize("is_told_by", ["the attribute", "the database"])
def test_a_damaged_blob_is_absent_to_clients_and_a_warning_to_operators(is_told_by, lone):
    body = os.urandom(1000)
    assert post(lone, body)[0] == 201
    file = lone.blob_file(name(body))
    os.truncate(file, 999)
    if is_told_by == "the database":
        os.removexattr(file, "user.shacache.size")
    marked = record.mark()
    status, _, line = lone.request("GET", f"/shacache/{name(body)}", headers=dict([marked]))
    assert (status, line.decode()) == (404, f"no blob has the SHA-512 {name(body)}\n")
    event = record.event(lone, marked)
    assert (event["level"], event["status"], event["reason"]) == ("warning", 404, "damaged blob")
    assert event["cause"] == f"the file of {name(body)} has 999 bytes, and was stored with 1000"
    assert post(lone, body)[0] == 201


# LocalBlobs.presence and LocalBlobs.confirmSize: a 500 would keep the clients from the upload that heals it.
@pytest.mark.parametrize("damage", ["closed", "restored wrong"])
def test_a_blob_that_can_not_be_served_is_404_until_the_next_upload_heals_it(damage, lone):
    body = os.urandom(1000)
    assert post(lone, body)[0] == 201
    file = lone.blob_file(name(body))
    if damage == "closed":
        file.chmod(0)
    else:
        owner = file.stat()
        file.unlink()
        file.write_bytes(bytes(1000))
        os.chown(file, owner.st_uid, owner.st_gid)
    marked = record.mark()
    assert lone.request("GET", f"/shacache/{name(body)}", headers=dict([marked]))[0] == 404
    cause = {"closed": "can't be opened: permission denied", "restored wrong": "has other bytes than its name says"}
    assert record.event(lone, marked)["cause"] == f"the file of {name(body)} {cause[damage]}"
    assert post(lone, body)[0] == 201
    assert lone.request("GET", f"/shacache/{name(body)}")[2] == body


# LocalBlobs.probe. After a restore, say, as another user.
def test_a_worker_that_cannot_use_the_blobs_is_not_ready(lone):
    shelf = lone.store / "blobs/7f"
    shelf.chmod(0o500)
    status, _, line = lone.request("GET", "/-/ready")
    shelf.chmod(0o750)
    assert (status, line) == (503, b"use blobs/7f: permission denied\n")
    assert lone.request("GET", "/-/ready")[0] == 200
