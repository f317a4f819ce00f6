"""The record of uploads: one row for each that was tried, which says who, what, and what came of it."""

import hashlib
import json
import os
import re
from base64 import b64encode

import pytest
import record
from certificates import fingerprint, openssl
from wire import Wire

LARGE = 3_000_000  # from a million bytes on, a worker is asked before the body is received
DATA = b"on record\n"
DIGEST = hashlib.sha512(DATA).hexdigest()
METADATA = json.dumps({"sha512": DIGEST})


def pair(metadata, signature=""):
    return json.dumps([metadata, signature]).encode()


def signed(stack, metadata):
    signature = openssl("dgst", "-sha1", "-sign", stack.env["SIGN_KEY"], input=metadata.encode())
    return b64encode(signature).decode()


def accepted(**columns):
    return {"outcome": "accepted", "status": 201, "account": "demo", "reason": None, "detail": None, **columns}


def refused(status, reason, **columns):
    return {"outcome": "refused", "status": status, "account": "demo", "reason": reason, "duplicate": None, **columns}


# By name: method, target, body, and what the row says.
CASES = {
    "a blob": ("POST", "/shacache", DATA, accepted(target="blob", sha512=DIGEST, bytes=len(DATA), key=None)),
    "a blob by name": (
        "PUT", f"/shacache/{DIGEST}", DATA, accepted(target="blob", sha512=DIGEST, bytes=len(DATA), duplicate=True)),
    "an empty blob": ("POST", "/shacache", b"", accepted(target="blob", bytes=0)),
    "a large blob": ("POST", "/shacache", bytes(LARGE), accepted(target="blob", bytes=LARGE)),
    "an entry": (
        "PUT", "/shadir/on%20record", pair(METADATA),
        accepted(target="entry", key="on record", sha512=DIGEST, bytes=len(pair(METADATA)), signature="unsigned")),
    "an entry of an unknown signer": (
        "PUT", "/shadir/record", pair(METADATA, "AAAA"),
        accepted(target="entry", key="record", sha512=DIGEST, signature="unknown signer", signer=None)),
    "another blob than named": (
        "PUT", f"/shacache/{DIGEST}", b"other", refused(400, "digest mismatch", target="blob", sha512=DIGEST, bytes=5)),
    "no entry": (
        "PUT", "/shadir/record", b"nonsense",
        refused(400, "malformed entry", target="entry", key="record", sha512=None, bytes=8, signature=None)),
    "a malformed key": ("PUT", "/shadir/%FF", pair(METADATA), refused(
        400, "malformed key", target="entry", key=None, account=None, certificate=None)),
    "no length": ("POST", "/shacache", None, refused(411, "length required", target="blob", bytes=None)),
    "a large entry": (
        "PUT", "/shadir/record", bytes(LARGE), refused(413, "too large", target="entry", key="record")),
}  # fmt: skip


MENDS = {"too large": "leave something out of its metadata"}


# Service.recordFailure and UploadRecords.recordFailure.
@pytest.mark.parametrize("method, target, body, columns", CASES.values(), ids=CASES)
def test_an_upload_is_one_row(closed, method, target, body, columns):
    marked = record.mark()
    with Wire(closed, closed.tls()) as wire:
        answer = wire.request(method, target, body, [marked])
    row = record.row(closed, marked)
    assert answer.status == row["status"], (answer, row)
    assert {name: row[name] for name in columns} == columns
    assert row["certificate"] == columns.get("certificate", fingerprint(closed.env["CLIENT_CERT"]))
    # What to do about it is for the client alone.
    assert row["outcome"] == "accepted" or answer.line in (row["detail"], f"{row['detail']}: {MENDS.get(row['reason'])}")
    assert row["client_address"] in ("127.0.0.1", "::1")
    assert re.fullmatch(r"00:00:0\d\.\d+|00:00:00", row["duration"])
    # The same request in all three records of it.
    assert re.fullmatch(r"[0-9a-f]{32}", row["request_id"])
    line = record.access(closed, marked)
    assert (line["status"], line["method"], line["uri"]) == (str(row["status"]), method, target)
    assert (line["client"], line["request_id"]) == (row["client_address"], row["request_id"])
    line = record.event(closed, marked)
    assert (line["status"], line.get("account"), line.get("reason")) == (row["status"], row["account"], row["reason"])


def test_the_second_upload_of_the_same_is_a_duplicate(closed):
    data = os.urandom(20)
    digest = hashlib.sha512(data).hexdigest()
    body = pair(json.dumps({"sha512": digest}))
    for method, target, body in ("POST", "/shacache", data), ("PUT", "/shadir/twice", body):
        for _ in range(3):
            assert closed.request(method, target, body, context=closed.tls())[0] == 201
    assert [(row["target"], row["duplicate"]) for row in record.rows(closed, f"sha512 = '{digest}'")] == [
        ("blob", False), ("blob", True), ("blob", True), ("entry", False), ("entry", True), ("entry", True)]


def test_a_verified_entry_names_its_signer(closed):
    metadata, key = json.dumps({"sha512": DIGEST}), f"signed-{os.urandom(4).hex()}"
    closed.index(key, metadata, signed(closed, metadata))
    (row,) = record.rows(closed, f"key = '{key}'")
    assert (row["signature"], row["signer"]) == ("verified", "demo")


# What was accepted is recorded in the transaction that stores it, so that it is there when the answer comes.
def test_an_accepted_upload_is_on_record_before_its_answer(closed):
    for _ in range(20):
        digest = closed.upload(os.urandom(20))
        assert len(record.rows(closed, f"sha512 = '{digest}'")) == 1


def test_downloads_are_not_on_the_record_of_uploads(closed):
    marked, digest = record.mark(), closed.upload(os.urandom(20))
    with Wire(closed) as wire:
        for method, target in ("GET", f"/shacache/{digest}"), ("HEAD", "/shadir/absent"), ("OPTIONS", "/shacache"):
            wire.request(method, target)
        wire.request("GET", "/shadir/absent", headers=[marked])
    request_id = record.access(closed, marked)["request_id"]
    closed.upload(os.urandom(20))
    assert record.rows(closed, f"request_id = '{request_id}'") == []
    assert len(record.rows(closed, f"sha512 = '{digest}'")) == 1


# A local writer has no certificate, and the record doesn't pretend.
def test_an_upload_by_address_is_the_account_locals(elsewhere):
    marked = record.mark()
    with Wire(elsewhere) as wire:
        assert wire.request("POST", "/shacache", DATA, [("X-Test-Address", "127.9.9.9"), marked]).status == 201
    row = record.row(elsewhere, marked)
    assert (row["account"], row["certificate"], row["client_address"]) == ("local", None, "127.9.9.9")


def test_a_large_upload_that_is_refused_before_its_body_comes_is_one_row(closed):
    marked = record.mark()
    with Wire(closed) as wire:
        assert wire.request("POST", "/shacache", bytes(LARGE), [marked]).status == 403
        assert wire.is_open()
    row = record.row(closed, marked)
    assert (row["status"], row["reason"], row["account"], row["bytes"]) == (403, "not authorized", None, None)
    assert record.access(closed, marked)["status"] == "403"


def test_neither_keys_nor_certificates_nor_bodies_are_in_the_logs(closed):
    body = os.urandom(40).hex().encode()
    closed.upload(body)
    with Wire(closed, closed.tls()) as wire:
        assert wire.request("PUT", "/shadir/secret", body).status == 400
    files = [file for file in (closed.state / "log").iterdir() if not file.name.startswith("postgres")]
    logs = b"".join(file.read_bytes() for file in files)
    assert hashlib.sha512(body).hexdigest().encode() in logs
    for name in "CLIENT_KEY", "CLIENT_CERT", "SIGN_KEY":
        with open(closed.env[name], "rb") as file:
            assert file.read().splitlines()[1] not in logs
    for text in body, b"PRIVATE KEY", b"BEGIN CERTIFICATE", b"BEGIN%20CERTIFICATE":
        assert text not in logs
