"""What is withdrawn is gone for everybody at once, blocked, on record, and comes back byte for byte."""

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from urllib.parse import quote

import processes
import pytest
import record
from certificates import self_signed
from deployed import client_of, metadata_of, new_key, put, selected, sign
from history import check_store
from slapos import libnetworkcache
from stack import Database, Stack, eventually
from tracing import Trace, injection, position
from uploader import LARGE, Uploader

DOWNLOAD = Path(sysconfig.get_path("scripts")) / "networkcache-download"


@pytest.fixture
def uploader(cache, tmp_path):
    return lambda *settings: Uploader(cache, tmp_path, *(settings or ("--role", "blobs", "--role", "entries", "--role", "withdraw")))


def name(data):
    return hashlib.sha512(data).hexdigest()


def download(stack, *words):
    return subprocess.run([DOWNLOAD, "-c", stack.state / "client/networkcache.cfg", *words], capture_output=True)


def seen(stack, digest):
    """By every nginx process that may have the file open."""
    return {stack.request("GET", f"/shacache/{digest}")[0] for _ in range(100)}


def last_number(stack):
    return json.loads(stack.admin("withdrawal", "list", "--json").stdout)[-1]["number"]


def audit(stack, action):
    return Database(stack).run(
        f"SELECT actor, subject, detail FROM shacache.audit WHERE action = '{action}' ORDER BY id")[-1]


def uploaded(stack, digest):
    return Database(stack).run(f"SELECT count(*) FROM shacache.upload WHERE sha512 = '\\x{digest}'")


# open_file_cache_valid in direct.conf: a nginx that has the file open looks again when a second is over.
def test_a_blob_that_is_withdrawn_is_404_and_blocked_and_comes_back(cache, uploader):
    account, data = uploader(), os.urandom(50_000)
    digest, before, marked = name(data), None, record.mark()
    assert account.post(data).status == 201
    assert seen(cache, digest) == {200}
    before = uploaded(cache, digest)
    answer = account.withdraw(f"/shacache/{digest}", "a secret was in it: naïve", headers=[marked])
    assert (answer.status, answer.body) == (204, b"")
    eventually(lambda: seen(cache, digest) == {404}, 10)
    assert not cache.blob_file(digest).exists()
    # Not an upload, but in the log and the audit.
    assert uploaded(cache, digest) == before
    event = record.event(cache, marked)
    assert (event["level"], event["event"], event["account"]) == ("info", "withdrawn", account.name)
    assert (event["because"], event["sha512"], event["count"]) == ("a secret was in it: naïve", digest, 1)
    number = last_number(cache)
    assert audit(cache, "blob withdraw") == (
        f"account:{account.name}", digest, f"withdrawal {number}: a secret was in it: naïve")
    for method, target in ("POST", "/shacache"), ("PUT", f"/shacache/{digest}"):
        refused = account.ask(method, target, data)
        assert (refused.status, refused.line) == (403, "this blob was withdrawn: a secret was in it: naïve")
    assert account.withdraw(f"/shacache/{digest}").status == 404
    cache.admin("withdrawal", "lift", str(number))
    assert cache.request("GET", f"/shacache/{digest}")[2] == data
    assert account.post(data).status == 201
    # Others' tests leave damaged files in this store: this blob lies in one place, and that is the right one.
    assert cache.blob_file(digest).exists() and not (cache.store / "withdrawn" / digest).exists()
    assert account.recount() == 0


# BlobRepository.admit: of a large blob under its name, not a byte is received.
def test_a_large_blob_that_is_withdrawn_is_refused_before_it_comes(uploader):
    account, data = uploader(), os.urandom(LARGE)
    assert account.post(data).status == 201
    assert account.withdraw(f"/shacache/{name(data)}", "too largé").status == 204
    with account.wire() as wire:
        wire.send(f"PUT /shacache/{name(data)} HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n")
        answer = wire.answer("PUT")
    assert (answer.status, answer.line) == (403, "this blob was withdrawn: too largé")


def test_the_deployed_client_sees_a_withdrawal_and_its_lifting(cache):
    data, key = os.urandom(20_000), new_key()
    digest = client_of(cache).upload(io.BytesIO(data), key, file="a")
    listed = download(cache, "-k", key, "-l").stdout
    assert json.loads(listed)[0]["sha512"] == digest
    assert download(cache, "-k", key).stdout == data
    raw = cache.request("GET", f"/shadir/{key}")[2]
    (entry,) = json.loads(cache.admin("entry", "list", key, "--json").stdout)
    cache.admin("entry", "withdraw", str(entry["number"]), "--reason", "wrong platform")
    assert cache.entries(key) == []
    assert download(cache, "-k", key, "-l").stdout.strip() in (b"", b"[]")
    assert download(cache, "-k", key).returncode != 0
    cache.admin("blob", "withdraw", digest, "--reason", "wrong platform")
    eventually(lambda: seen(cache, digest) == {404}, 10)
    with pytest.raises(libnetworkcache.HTTPError, match="404"):
        client_of(cache).download(digest)
    with pytest.raises(libnetworkcache.HTTPError, match="403"):
        client_of(cache).upload(io.BytesIO(data))
    for withdrawal in json.loads(cache.admin("withdrawal", "list", "--json").stdout)[-2:]:
        assert withdrawal["reason"] == "wrong platform" and withdrawal["hidden"] == 1
        cache.admin("withdrawal", "lift", str(withdrawal["number"]))
    assert cache.request("GET", f"/shadir/{key}")[2] == raw
    assert download(cache, "-k", key, "-l").stdout == listed
    assert download(cache, "-k", key).stdout == data
    assert audit(cache, "withdrawal lift")[1] == str(last_number(cache))


def test_an_entry_that_an_operator_withdrew_is_blocked_for_everybody_and_another_one_is_not(uploader):
    account, other, key = uploader(), uploader(), new_key()
    assert account.put(key, n=1).status == 201
    assert uploader("--role", "operator").withdraw(f"/shadir/{key}").status == 204
    for again in account, other:
        answer = again.put(key, n=1)
        assert (answer.status, answer.line) == (403, "this entry was withdrawn: a mistake")
    assert other.put(key, n=2).status == 201
    assert [json.loads(metadata)["n"] for metadata, _ in account.stack.entries(key)] == [2]


# Known.init: else whoever knows the bytes, or the pair, could block them for all others.
def test_what_an_account_withdrew_itself_is_blocked_for_it_alone(uploader):
    account, other, key, data, large = uploader(), uploader(), new_key(), os.urandom(100), os.urandom(LARGE)
    targets = [f"/shadir/{key}", f"/shacache/{name(data)}", f"/shacache/{name(large)}"]
    uploads = [lambda by: by.put(key, n=1), lambda by: by.post(data), lambda by: by.ask("PUT", targets[2], large)]
    for target, upload in zip(targets, uploads):
        assert upload(account).status == 201
        assert account.withdraw(target, "mine").status == 204
        number = last_number(account.stack)
        assert (upload(account).status, upload(other).status) == (403, 201)
        # It is the other one's as well now.
        assert account.withdraw(target).status == 403
        assert upload(account).status == 201
        assert audit(account.stack, "withdrawal lift")[:2] == (f"account:{other.name}", str(number))
        assert account.stack.admin("withdrawal", "lift", str(number), check=False).returncode == 1
    assert len(account.stack.entries(key)) == 1
    assert account.stack.request("GET", targets[1])[2] == data


# Withdrawal.hideable: else the operator would find nothing, and whoever uploads it next would show it again.
def test_an_operator_blocks_for_everybody_what_an_account_withdrew_itself(cache, uploader):
    account, other, key, data = uploader(), uploader(), new_key(), os.urandom(100)
    operator = uploader("--role", "operator")
    assert (account.post(data).status, account.put(key, n=1).status, account.put(key, n=2).status) == (201,) * 3
    for target in f"/shacache/{name(data)}", f"/shadir/{key}":
        assert account.withdraw(target, "mine").status == 204
    cache.admin("blob", "withdraw", name(data), "--reason", "ours")
    (first, _) = json.loads(cache.admin("entry", "list", key, "--json").stdout)
    cache.admin("entry", "withdraw", str(first["number"]), "--reason", "ours")
    assert operator.withdraw(f"/shadir/{key}", "ours").status == 204
    answers = [by.post(data) for by in (account, other)] + [by.put(key, n=n) for by in (account, other) for n in (1, 2)]
    assert [(answer.status, answer.line.partition(": ")[2]) for answer in answers] == [(403, "ours")] * 6
    for target in f"/shacache/{name(data)}", f"/shadir/{key}":
        assert operator.withdraw(target).status == 404
    assert cache.entries(key) == [] and not cache.blob_file(name(data)).exists()
    assert not [row for row in json.loads(cache.admin("withdrawal", "list", "--json").stdout)
                if row["hidden"] and row["reason"] == "mine" and row["actor"] == f"account:{account.name}"]


# Answer.event: nor is a question before the request one.
def test_the_log_has_no_withdrawal_where_nothing_can_be_withdrawn(uploader):
    account, marked = uploader(), record.mark()
    assert account.withdraw("/shacache", headers=[marked]).status == 405
    request = record.access(account.stack, marked)["request_id"]
    assert account.withdraw(f"/shadir/{new_key()}", headers=[after := record.mark()]).status == 404
    assert record.event(account.stack, after)["event"] == "refused"
    assert not [log for log in (account.stack.state / "log").glob("worker-*.log") if request in log.read_text()]


def test_of_a_key_the_entries_of_one_blob_are_withdrawn(uploader):
    account, key = uploader(), new_key()
    for digit in "01":
        assert account.put(key, sha512=digit * 128).status == 201
    assert account.withdraw(f"/shadir/{key}?sha512={'1' * 128}").status == 204
    assert [json.loads(metadata)["sha512"][0] for metadata, _ in account.stack.entries(key)] == ["0"]
    assert account.withdraw(f"/shadir/{key}?sha512={'1' * 128}").status == 404


# Entries.withdraw: two pairs may name the same blob.
def test_of_a_key_one_entry_is_withdrawn_by_its_hash(uploader):
    account, key = uploader(), new_key()
    for n in 1, 2:
        assert account.put(key, n=n).status == 201
    metadata, signature = account.stack.entries(key)[1]
    pair = hashlib.sha256(f"{metadata}\0{signature}".encode()).hexdigest()
    assert account.withdraw(f"/shadir/{key}?entry={'0' * 64}").status == 404
    assert account.withdraw(f"/shadir/{key}?entry={pair.upper()}").status == 204
    assert [json.loads(metadata)["n"] for metadata, _ in account.stack.entries(key)] == [1]
    assert account.withdraw(f"/shadir/{key}?entry={pair}").status == 404


WRONG = {
    "": (400, "say why"), "?reason=": (400, "say why"), "?reason=%20": (400, "say why"), "?reason=a%0Ab": (400, "say why"),
    "?reason=" + "x" * 501: (400, "say why"), "?reason=%FF": (400, "not percent-encoded UTF-8"),
    "?reason=%4": (400, "not percent-encoded"), "?Reason=x": (400, "say why"),
    "?entry=00&reason=x": (400, "the entry is not 64 hexadecimal digits"),
    "?sha512=00&reason=x": (400, "not 128 hexadecimal digits"),
    f"?reason=x&sha512={'f' * 128}": (404, "nothing of that is listed"),
}


@pytest.mark.parametrize("query", WRONG)
def test_a_request_that_says_too_little_withdraws_nothing(uploader, query):
    account, key, marked = uploader(), new_key(), record.mark()
    assert account.put(key).status == 201
    answer = account.ask("DELETE", f"/shadir/{key}{query}", headers=[marked])
    assert answer.status == WRONG[query][0] and WRONG[query][1] in answer.line, answer
    assert len(account.stack.entries(key)) == 1
    assert record.event(account.stack, marked)["event"] == "refused"


# WithdrawalAttempt.narrow: the path says which blob.
def test_the_hash_in_a_query_withdraws_no_blob(uploader):
    account, data, other = uploader(), os.urandom(100), os.urandom(100)
    assert (account.post(data).status, account.post(other).status) == (201, 201)
    answer = account.ask("DELETE", f"/shacache/{name(data)}?reason=x&sha512={name(other)}")
    assert (answer.status, answer.line) == (400, "sha512 chooses among a key's entries, and this is a blob")
    answer = account.ask("DELETE", f"/shacache/{name(data)}?reason=x&entry={'0' * 64}")
    assert (answer.status, answer.line) == (400, "entry chooses among a key's entries, and this is a blob")
    for blob in data, other:
        assert account.stack.request("GET", f"/shacache/{name(blob)}")[2] == blob


# Promise 3 of appending alone: Entries.withdraw and BlobRepository.checkMayWithdraw, is_shared.
def test_no_account_hides_what_another_one_uploaded(uploader):
    owner, other, key, data = uploader(), uploader(), new_key(), os.urandom(100)
    assert owner.post(data).status == 201
    assert owner.put(key, sha512=name(data)).status == 201
    for target in f"/shadir/{key}", f"/shacache/{name(data)}":
        answer = other.withdraw(target)
        assert answer.status == 403 and "an operator can withdraw it" in answer.line, answer
    # As soon as another one counts on it, its own account can't either.
    assert other.put(key, sha512=name(data)).status == 201
    for target in f"/shadir/{key}", f"/shacache/{name(data)}":
        assert owner.withdraw(target).status == 403
    assert len(owner.stack.entries(key)) == 1
    assert owner.stack.request("GET", f"/shacache/{name(data)}")[2] == data
    operator = uploader("--role", "operator")
    for target in f"/shadir/{key}", f"/shacache/{name(data)}":
        assert operator.withdraw(target).status == 204
    assert owner.stack.entries(key) == []


def test_two_accounts_that_uploaded_the_same_blob_keep_it_both(uploader):
    owner, other, data = uploader(), uploader(), os.urandom(100)
    assert (owner.post(data).status, other.post(data).status) == (201, 201)
    for account in owner, other:
        assert account.withdraw(f"/shacache/{name(data)}").status == 403
    assert owner.stack.request("GET", f"/shacache/{name(data)}")[2] == data


def test_a_revoked_certificate_and_a_disabled_account_withdraw_nothing(uploader):
    account, key = uploader(), new_key()
    assert account.put(key).status == 201
    account.stack.admin("account", "disable", account.name)
    answer = account.withdraw(f"/shadir/{key}")
    assert (answer.status, answer.line) == (403, f"the account {account.name} is disabled: ask the operator")
    assert len(account.stack.entries(key)) == 1


def test_with_a_certificate_that_does_not_verify_nothing_is_withdrawn(cache, tmp_path):
    certificate, key = self_signed(tmp_path, "self-made", "EC")
    status, _, line = cache.request(
        "DELETE", "/shadir/make-run:round-trip?reason=why", context=cache.tls(certificate, key))
    assert status == 403 and b"the client certificate was refused (FAILED:" in line
    assert cache.entries("make-run:round-trip")


def signed_put(cache, key, signing_key, **metadata):
    text = metadata_of(**metadata)
    return put(cache, key, json.dumps([text, sign(cache, text, signing_key)]).encode())


# Signers.revoke, and `compromised` in Service.verify.
def test_a_signer_is_revoked_since_a_date_and_its_later_entries_are_hidden(cache, tmp_path):
    certificate, signing_key = self_signed(tmp_path, "stolen", "RSA:1024")
    # Signers.entriesOfUnknown: on record as of an unknown signer, and compromised all the same.
    assert signed_put(cache, early := new_key(), signing_key).status == 201
    cache.admin("signer", "add", signer := f"s{os.urandom(4).hex()}", certificate)
    client, key = client_of(cache, certificate, signing_key), new_key()
    for mark in "old", "new":
        assert signed_put(cache, key, signing_key, mark=mark).status == 201
    Database(cache).run(
        f"UPDATE shacache.entry SET created_at = '2020-02-02' WHERE key = '{key}' AND metadata LIKE '%old%'")
    assert [found["mark"] for found in selected(client, key)] == ["old", "new"]
    done = cache.admin("signer", "revoke", signer, "--since", "2020-02-03")
    assert "2" in done.stderr
    assert [found["mark"] for found in selected(client, key)] == ["old"]
    assert cache.entries(early) == []
    answer = signed_put(cache, new_key(), signing_key, mark="newest")
    assert (answer.status, answer.line) == (
        403, "the key that signed this entry was revoked, because it was compromised: "
        "make a new one, by shacache generate-signature-key")
    cache.admin("withdrawal", "lift", str(last_number(cache)))
    assert [found["mark"] for found in selected(client, key)] == ["old", "new"]


def writings(signature):
    """Other texts of one signature: with a line break, and with other bits in what the padding leaves over."""
    assert signature.endswith("=")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    bare = signature.rstrip("=")
    other = bare[:-1] + last[last.index(bare[-1]) ^ 1] + signature[len(bare):]
    return [f"{signature[:8]}\n{signature[8:]}", other]


# Entry.isSigned(likewise:). Who has an entry could put it again, and so undo any withdrawal of it.
@pytest.mark.parametrize("number", [0, 1])
def test_another_writing_of_a_withdrawn_signature_is_withdrawn(cache, uploader, number):
    metadata, key = metadata_of(mark=os.urandom(4).hex()), new_key()
    signature = sign(cache, metadata)
    other = writings(signature)[number]
    assert put(cache, key, json.dumps([metadata, signature]).encode()).status == 201
    assert uploader().ask("PUT", f"/shadir/{key}", json.dumps([metadata, other]).encode()).status == 201
    assert cache.entries(key) == [[metadata, signature]]
    (entry,) = json.loads(cache.admin("entry", "list", key, "--json").stdout)
    cache.admin("entry", "withdraw", str(entry["number"]), "--reason", "wrong")
    answer = uploader().ask("PUT", f"/shadir/{key}", json.dumps([metadata, other]).encode())
    assert answer.status == 403 and cache.entries(key) == []


# PublicKey.signatureSize: openssl, and so the deployed clients, read no more of a signature than its key makes.
def test_bytes_behind_a_signature_make_no_other_entry_of_it(cache, tmp_path):
    certificate, signing_key = self_signed(tmp_path, "signer", "RSA:2048")
    cache.admin("signer", "add", signer := f"s{os.urandom(4).hex()}", certificate)
    metadata, key = metadata_of(mark="x"), new_key()
    longer = base64.b64encode(base64.b64decode(sign(cache, metadata, signing_key)) + b"x").decode()
    answer = put(cache, key, json.dumps([metadata, longer]).encode())
    assert (answer.status, answer.line) == (400, "the signature has bytes behind its end")
    cache.admin("signer", "revoke", signer, "--since", "2020-02-03")
    assert put(cache, key, json.dumps([metadata, longer]).encode()).status == 403
    assert cache.entries(key) is None


# Crashes


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    """A cache with one worker, so that it is the one that a request meets."""
    with Stack(tmp_path_factory.mktemp("withdrawal"), WORKERS="1") as stack:
        yield stack


@pytest.fixture(scope="module")
def calls(lone, tmp_path_factory):
    """What a worker asks of the kernel for its first request, which withdraws a blob."""
    account, data = Uploader(lone, tmp_path_factory.mktemp("account"), "--role", "blobs", "--role", "withdraw"), os.urandom(1000)
    assert account.post(data).status == 201
    worker = processes.fresh_worker(lone)
    with Trace([worker], tmp_path_factory.mktemp("calls") / "trace") as trace:
        assert account.withdraw(f"/shacache/{name(data)}").status == 204
    return trace.thread_that("write", "204 No Content")


def test_a_withdrawal_is_answered_when_the_file_is_hidden_for_good_and_that_is_committed(calls):
    # Fails without DurableRename.synchronize in LocalBlobs.move, or when `hide` leaves the transaction.
    order = [("renameat", "/withdrawn", 0), ("fsync", "/withdrawn", 0), ("fsync", "/blobs/", 0), ("sendto", "COMMIT", 1),
             ("recvfrom", "COMMIT", 0), ("write", "204 No Content", 0)]
    places = [position(calls, *call) for call in order]
    assert None not in places and places == sorted(places), list(zip(order, places))


STEPS = {
    "moves the file": ("renameat", "/withdrawn", 0, False), "makes that durable": ("fsync", "/withdrawn", 0, False),
    "commits": ("sendto", "COMMIT", 1, False), "learns that it committed": ("recvfrom", "COMMIT", 0, True),
    "answers": ("write", "204 No Content", 0, True)}


# Fails without Shacached.settle: what is not withdrawn would stay hidden.
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_that_is_killed_in_a_withdrawal_has_done_it_or_not(step, lone, calls, tmp_path):
    account, data = Uploader(lone, tmp_path, "--role", "blobs", "--role", "withdraw"), os.urandom(1000)
    call, text, further, is_done = STEPS[step]
    assert account.post(data).status == 201
    worker = processes.fresh_worker(lone)
    with Trace([worker], tmp_path / "trace", f"trace={call}", injection(calls, position(calls, call, text, further), "signal=KILL")):
        assert account.withdraw(f"/shacache/{name(data)}").status == 503
    wanted = 404 if is_done else 200
    eventually(lambda: processes.is_live(lone) and lone.request("GET", f"/shacache/{name(data)}")[0] == wanted)
    assert account.withdraw(f"/shacache/{name(data)}").status == (404 if is_done else 204)
    assert lone.request("GET", f"/shacache/{name(data)}")[0] == 404
    lone.admin("withdrawal", "lift", str(last_number(lone)))
    assert lone.request("GET", f"/shacache/{name(data)}")[2] == data
    assert check_store(lone) == set()


# Shacached.settle: one that can't be moved, and the others are. Those that are withdrawn come first.
def test_workers_put_right_what_they_can_where_one_file_is_in_the_way(lone, tmp_path):
    account = Uploader(lone, tmp_path, "--role", "blobs", "--role", "withdraw")
    blobs = sorted((os.urandom(1000) for _ in range(3)), key=name)
    for data in blobs:
        assert account.post(data).status == 201
    shown, hidden = [lone.blob_file(name(data)) for data in blobs], [lone.store / "withdrawn" / name(data) for data in blobs]
    for data in blobs[:2]:
        assert account.withdraw(f"/shacache/{name(data)}").status == 204
    for number in 0, 1:
        shutil.copy2(hidden[number], shown[number])
    # In the first one's place stands what no file replaces.
    hidden[0].unlink()
    (hidden[0] / "not empty").mkdir(parents=True)
    shown[2].rename(hidden[2])
    processes.fresh_worker(lone)
    eventually(lambda: not shown[1].exists() and shown[2].exists())
    assert shown[0].exists() and lone.request("GET", f"/shacache/{name(blobs[2])}")[2] == blobs[2]
    (hidden[0] / "not empty").rmdir()
    hidden[0].rmdir()
    processes.fresh_worker(lone)
    eventually(lambda: not shown[0].exists())
    assert check_store(lone) == set()


@pytest.mark.parametrize("fault, status", [("renameat:error=EIO", 500), ("fsync:error=EIO", 500)])
def test_a_withdrawal_that_the_disk_refuses_hides_nothing(fault, status, lone, tmp_path):
    account, data = Uploader(lone, tmp_path, "--role", "blobs", "--role", "withdraw"), os.urandom(1000)
    assert account.post(data).status == 201
    worker = processes.fresh_worker(lone)
    with Trace([worker], tmp_path / "trace", f"trace={fault.split(':')[0]}", f"inject={fault}:when=1"):
        answer = account.withdraw(f"/shacache/{name(data)}")
        assert answer.status == status and str(lone.state) not in answer.line
    assert lone.request("GET", f"/shacache/{name(data)}")[2] == data
    assert Database(lone).run(
        f"SELECT withdrawal_id IS NULL FROM shacache.blob WHERE sha512 = '\\x{name(data)}'") == [("t",)]
    processes.fresh_worker(lone)


# Shacached.settle: the backup that the guide describes keeps a blob that was withdrawn since the backup before.
def test_a_withdrawn_blob_that_a_restore_brings_back_is_hidden_when_workers_start(lone, tmp_path):
    account, data = Uploader(lone, tmp_path, "--role", "blobs", "--role", "withdraw"), os.urandom(1000)
    assert account.post(data).status == 201
    file = lone.blob_file(name(data))
    assert account.withdraw(f"/shacache/{name(data)}").status == 204
    hidden = lone.store / "withdrawn" / name(data)
    def restore(copy):
        copy(hidden, file)
        os.chown(file, hidden.stat().st_uid, hidden.stat().st_gid)  # as rsync does there

    # BlobRepository.size: a file without attributes is confirmed by the database.
    restore(shutil.copy)
    assert lone.request("GET", f"/shacache/{name(data)}")[0] == 404
    file.unlink()
    restore(shutil.copy2)
    assert lone.request("GET", f"/shacache/{name(data)}")[2] == data
    processes.fresh_worker(lone)
    eventually(lambda: not file.exists())
    assert lone.request("GET", f"/shacache/{name(data)}")[0] == 404
    lone.admin("withdrawal", "lift", str(last_number(lone)))
    assert lone.request("GET", f"/shacache/{name(data)}")[2] == data
