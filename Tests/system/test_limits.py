"""What an account may do and how much: each limit as a client meets it, and what is counted."""

import hashlib
import io
import os
import re
from concurrent.futures import ThreadPoolExecutor

import processes
import pytest
import record
from deployed import client_of, new_key
from history import check_store
from node import FAILED, Node
from slapos import libnetworkcache
from stack import Database, Stack, eventually
from tracing import Trace, calls_of_an_upload, injection, position
from uploader import LARGE, Uploader


@pytest.fixture
def uploader(stack, tmp_path):
    return lambda *settings: Uploader(stack, tmp_path, *settings)


def name(data):
    return hashlib.sha512(data).hexdigest()


def assert_refused(uploader, answer, marked, reason, line):
    """With this line, on record, and nothing is left of it."""
    detail = line.format(uploader.name)
    assert answer.status == 403 and answer.line.startswith(f"{detail}: ask the operator"), answer
    row = record.row(uploader.stack, marked)
    assert (row["outcome"], row["reason"], row["detail"]) == ("refused", reason, detail)
    assert row["account"] == uploader.name
    eventually(lambda: not list(uploader.stack.spool.iterdir()))
    assert uploader.recount() == 0


BYTES = "bytes limit: the account {} may store %d bytes, has stored %d, and this blob has %d"


# Service.admit asks before the body, AccountQuotas.checkQuota for good. The first is seen by a client that sends none of it.
@pytest.mark.parametrize("size, is_sent", [(101, True), (LARGE, True), (LARGE, False)])
def test_a_blob_over_the_bytes_limit_is_refused(uploader, size, is_sent):
    account, data, marked = uploader("--bytes-limit", "100"), os.urandom(size), record.mark()
    if is_sent:
        answer = account.post(data, headers=[marked])
    else:
        with account.wire() as wire:
            wire.send(f"POST /shacache HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n{': '.join(marked)}\r\n\r\n")
            answer = wire.answer("POST")
    assert_refused(account, answer, marked, "account limit", BYTES % (100, 0, size))
    assert not account.stack.blob_file(name(data)).exists()
    assert account.post(data[:100]).status == 201
    assert (account.shown()["bytes"], account.shown()["bytes_limit"]) == (100, 100)


# Service.checkChunks: of a body in chunks nobody knows the length before it has taken its room.
@pytest.mark.parametrize("limit", ["--bytes-limit", "--blob-size-limit"])
def test_where_bytes_are_limited_no_blob_comes_in_chunks(uploader, limit):
    account, marked = uploader(limit, "100"), record.mark()
    with account.wire() as wire:
        # Not a byte of the body: it isn't waited for.
        wire.send(f"POST /shacache HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{': '.join(marked)}\r\n\r\n")
        answer = wire.answer("POST")
    line = f"the account {account.name} has a limit in bytes: send a Content-Length"
    assert (answer.status, answer.line) == (411, line)
    assert record.row(account.stack, marked)["reason"] == "length required"
    assert account.put(new_key()).status == 201


def test_a_number_of_blobs_is_a_limit(uploader):
    account, marked = uploader("--blobs-limit", "2"), record.mark()
    assert [account.post(os.urandom(5)).status for _ in range(2)] == [201, 201]
    answer = account.post(os.urandom(5), headers=[marked])
    line = "blobs limit: the account {} may store 2 blobs, and has stored 2"
    assert_refused(account, answer, marked, "account limit", line)
    account.set("--blobs-limit", "none")
    assert account.post(os.urandom(5)).status == 201


@pytest.mark.parametrize("size", [1025, LARGE])
def test_the_largest_blob_is_a_limit(uploader, size):
    account, marked = uploader("--blob-size-limit", "1K"), record.mark()
    answer = account.post(os.urandom(size), headers=[marked])
    line = f"blob size limit: the account {{}} may store blobs of up to 1024 bytes, and this one has {size}"
    assert_refused(account, answer, marked, "account limit", line)
    assert account.post(os.urandom(1024)).status == 201


def test_entries_of_a_day_and_of_a_key_are_limits(uploader):
    account, key = uploader("--entries-per-day-limit", "3", "--entries-per-key-limit", "2"), new_key()
    assert [account.put(key, n=n).status for n in (1, 2, 2)] == [201, 201, 201]
    answer = account.put(key, n=3)
    assert answer.line == (
        f"entries per key limit: the account {account.name} may have 2 entries under a key, and has 2 under this one: "
        "ask the operator for more")
    assert account.put(new_key()).status == 201
    answer = account.put(new_key())
    assert (answer.status, answer.line) == (403, (
        f"entries per day limit: the account {account.name} may put 3 entries in a day (of UTC), and has put 3: "
        "ask the operator for more"))
    assert account.shown()["entries_today"] == 3


def test_an_account_writes_under_its_prefixes_alone(uploader):
    account = uploader("--key-prefix", "pypi:", "--key-prefix", "a,\"b")
    for key, status in [("pypi:x=1", 201), ('a,"b/c', 201), ("pypi", 403), ("x-pypi:", 403), ("PYPI:x", 403)]:
        assert account.put(key, by=account.name).status == status, key
    answer = account.put("other")
    assert answer.line == (
        f"the account {account.name} may put entries only under keys that begin with pypi: or a,\"b")
    account.set("--any-key")
    assert account.put("other", by=account.name).status == 201


ROLES = {"blobs": (201, 403, 403), "entries": (403, 201, 403), "withdraw": (403, 403, 404), "operator": (403, 403, 404),
         "none": (403, 403, 403)}


# Role by role: one gives no other.
@pytest.mark.parametrize("role", ROLES)
def test_an_account_does_what_its_role_allows_and_nothing_else(uploader, role):
    account = uploader("--role", role)
    blob, large, entry = account.post(os.urandom(9)), account.post(os.urandom(LARGE)), account.put(new_key())
    withdrawal = account.withdraw(f"/shadir/{new_key()}")
    assert (blob.status, entry.status, withdrawal.status) == ROLES[role]
    assert large.status == blob.status
    for answer, what in (blob, "upload blobs"), (large, "upload blobs"), (entry, "upload entries"), (withdrawal, "withdraw"):
        assert answer.status != 403 or answer.line.startswith(f"the account {account.name} may not {what}: ask")


def test_what_is_there_already_costs_nothing(uploader):
    account, other = uploader("--bytes-limit", "10"), uploader()
    data, large = os.urandom(10), os.urandom(LARGE)
    assert [answer.status for answer in (other.post(large), account.post(data), account.post(data))] == [201] * 3
    # Under its name it is known before it comes.
    assert account.ask("PUT", f"/shacache/{name(large)}", large).status == 201
    assert account.post(large).status == 403
    assert (account.shown()["bytes"], account.shown()["blobs"]) == (10, 1)


def credentials(account):
    return {f"{where}-{what}-file": str(file) for where in ("shacache", "shadir")
            for what, file in (("cert", account.certificate), ("key", account.key))}


# Settings of an account; what it uploads before, blobs of so many bytes or entries; what is over the limit then, a blob or
# the key of an entry; the line.
LIMITS = {
    "bytes": (["--bytes-limit", "100"], [70], 40, None,
              "bytes limit: the account {} may store 100 bytes, has stored 70, and this blob has 40"),
    "blobs": (["--blobs-limit", "1"], [20], 20, None, "blobs limit: the account {} may store 1 blob, and has stored 1"),
    "blob size": (["--blob-size-limit", "30"], [], 31, None,
                  "blob size limit: the account {} may store blobs of up to 30 bytes, and this one has 31"),
    "entries per day": (["--entries-per-day-limit", "1"], ["put"], None, "another",
                        "entries per day limit: the account {} may put 1 entry in a day (of UTC), and has put 1"),
    "entries per key": (["--entries-per-key-limit", "1"], ["put"], None, "the same",
                        "entries per key limit: the account {} may have 1 entry under a key, and has 1 under this one"),
    "key prefix": (["--key-prefix", "pypi:"], [], None, "another",
                   "the account {} may put entries only under keys that begin with pypi:"),
    "no role for blobs": (["--role", "entries"], [], 20, None, "the account {} may not upload blobs"),
    "no role for entries": (["--role", "blobs"], [], None, "another", "the account {} may not upload entries"),
}


class OverLimit:
    """An account that has used all that it may."""

    def __init__(self, uploader, settings, before, size, key, line):
        self.account, self.size = uploader(*settings), size
        used = new_key()
        self.key = None if key is None else used if key == "the same" else new_key()
        self.line = line.format(self.account.name)
        for what in before:
            # Bytes of its own: what the cache has costs nothing.
            answer = self.account.put(used) if what == "put" else self.account.post(os.urandom(what))
            assert answer.status == 201, answer

    @property
    def body(self):
        """Bytes that nobody has sent before."""
        return os.urandom(self.size)


@pytest.fixture(params=LIMITS.values(), ids=LIMITS)
def over_limit(request, uploader):
    return OverLimit(uploader, *request.param)


# It shows what stands behind the status, and never the body, which it has closed by then. Request.swift: `say`.
def test_the_deployed_client_meets_each_limit_as_a_403_and_the_record_says_which(over_limit):
    account = over_limit.account
    client = client_of(account.stack, **credentials(account))
    with pytest.raises(libnetworkcache.HTTPError, match=re.escape(f"HTTP Error 403: {over_limit.line}")):
        if over_limit.key:
            client.index(over_limit.key, sha512="0" * 128)
        else:
            client.upload(io.BytesIO(over_limit.body))
    (row,) = eventually(lambda: record.rows(account.stack, f"account = '{account.name}' AND outcome = 'refused'"))
    assert row["detail"] == over_limit.line


def test_shacache_shows_which_limit(over_limit, tmp_path):
    account = over_limit.account
    options = {name.replace("-", "_"): value for name, value in credentials(account).items()}
    if over_limit.key:
        # So that only the entry is sent.
        (tmp_path / "file").write_bytes(body := os.urandom(9))
        account.stack.upload(body)
        words = ["--key", over_limit.key]
    else:
        (tmp_path / "file").write_bytes(over_limit.body)
        words = []
    done = Node.of(account.stack, tmp_path / "node", **options).run("upload", tmp_path / "file", *words)
    assert done.returncode == FAILED and f"403 {over_limit.line}" in done.stderr.decode(), done


# BlobRepository.admit: whatever has another size isn't that blob.
def test_under_the_name_of_a_blob_no_body_of_another_size_is_received(uploader):
    account, data, marked = uploader("--bytes-limit", "2M"), os.urandom(LARGE), record.mark()
    assert account.post(data).status == 201
    with account.wire() as wire:
        wire.send(f"PUT /shacache/{name(data)} HTTP/1.1\r\nHost: x\r\nContent-Length: {10 * LARGE}\r\n"
                  f"{': '.join(marked)}\r\n\r\n")
        answer = wire.answer("PUT")
    line = f"the blob {name(data)} has {LARGE} bytes, and this body has {10 * LARGE}"
    assert (answer.status, answer.line) == (400, line)
    assert record.row(account.stack, marked)["reason"] == "digest mismatch"
    assert account.ask("PUT", f"/shacache/{name(data)}", data).status == 201


# AccountQuotas.checkQuota: the lock. The large ones are both admitted before either is there.
@pytest.mark.parametrize("size, rounds", [(1000, 30), (LARGE, 6)])
def test_of_two_uploads_that_race_for_the_last_byte_of_a_quota_exactly_one_is_stored(uploader, size, rounds):
    account = uploader("--bytes-limit", "0")
    with ThreadPoolExecutor(2) as threads:
        for number in range(1, rounds + 1):
            account.set("--bytes-limit", str(number * size))
            bodies = [os.urandom(size) for _ in range(2)]
            answers = list(threads.map(account.post, bodies))
            assert sorted(answer.status for answer in answers) == [201, 403], answers
            for body, answer in zip(bodies, answers):
                assert account.stack.blob_file(name(body)).exists() == (answer.status == 201)
    assert account.shown()["bytes"] == rounds * size
    assert account.recount() == 0


def test_a_recount_finds_repairs_and_audits_what_differs(uploader, stack):
    account = uploader()
    account.post(os.urandom(100))
    assert account.recount() == 0
    change = f"""UPDATE shacache.account_usage SET bytes = bytes + 7 FROM shacache.account
                 WHERE account.id = account_id AND name = '{account.name}'"""
    Database(stack).run(change)
    done = stack.admin("account", "recount", account.name, check=False)
    assert done.returncode == 1 and "differs" in done.stdout and "--repair" in done.stderr
    assert "107" in done.stdout and "100" in done.stdout
    assert stack.admin("account", "recount", account.name, "--repair").returncode == 0
    assert account.recount() == 0
    audit = f"SELECT detail FROM shacache.audit WHERE action = 'account recount' AND subject = '{account.name}'"
    assert Database(stack).run(audit) == [("blobs 1 → 1; bytes 107 → 100",)]


# record_blobs counts in the transaction that stores: wherever the worker dies, a blob is stored and counted, or neither.
@pytest.mark.parametrize("step", ["link", "COMMIT", "after COMMIT"])
def test_a_worker_that_is_killed_in_an_upload_leaves_nothing_counted_that_is_not_stored(step, tmp_path, lone, calls):
    account = Uploader(lone, tmp_path, "--bytes-limit", "1500")
    call, text, further = {
        "link": ("linkat", "/blobs/", 0),
        "COMMIT": ("sendto", "COMMIT", 1), "after COMMIT": ("recvfrom", "COMMIT", 0)}[step]
    body, worker = os.urandom(1000), processes.fresh_worker(lone)
    index = position(calls, call, text, further)
    with Trace([worker], tmp_path / "trace", f"trace={call}", injection(calls, index, "signal=KILL")):
        assert account.post(body).status == 503
    assert account.recount() == 0
    before = account.shown()["bytes"]
    assert before in (0, 1000)
    assert account.post(body).status == 201
    assert account.shown()["bytes"] == 1000
    assert account.post(os.urandom(501)).status == 403
    assert account.post(os.urandom(500)).status == 201
    assert check_store(lone) == set()


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    """A cache with one worker, so that it is the one that a request meets."""
    with Stack(tmp_path_factory.mktemp("limits"), WORKERS="1") as stack:
        yield stack


@pytest.fixture(scope="module")
def calls(lone, tmp_path_factory):
    """Of an upload of an account with a quota."""
    account = Uploader(lone, tmp_path_factory.mktemp("account"), "--bytes-limit", "1G")
    context = lone.tls(account.certificate, account.key)
    return calls_of_an_upload(lone, tmp_path_factory.mktemp("upload"), context)
