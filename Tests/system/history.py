"""What clients were told, and whether it holds.

Whoever breaks something under load uses it: the clients write down what they sent and what they were told. Afterwards
each 201 must read back byte for byte, each acknowledged entry stand exactly once, no 200 have carried a wrong byte,
and the store agree with the database.
"""

import hashlib
import http.client
import json
import random
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from stack import Database, eventually

UPLOAD, LIST, DOWNLOAD, LOOK_UP = "upload", "list", "download", "look up"


@dataclass
class Event:
    """One request: what was asked and what came back."""

    operation: str
    name: str  # the blob's digest, or the key
    began: float
    pair: tuple[str, str] | None = None  # that was put under the key
    ended: float = 0
    status: int | None = None  # None: the connection broke before an answer was whole
    said: str = ""  # why it was not done
    is_right: bool = True  # of a 200: whether the body is what was asked for
    pairs: list[tuple[str, str]] = field(default_factory=list)  # that were found under the key


class Client:
    """Asks on one kept-alive connection, and writes everything down."""

    def __init__(self, stack, history, context=None):
        self._connection = stack.connect(context, timeout=30)
        self._history = history

    def upload(self, content):
        digest = hashlib.sha512(content).hexdigest()
        event, body = self._ask(Event(UPLOAD, digest, time.monotonic()), "POST", "/shacache", content)
        event.is_right = event.status != 201 or body == digest.encode()
        return event

    def list(self, key, metadata, signature=""):
        event = Event(LIST, key, time.monotonic(), pair=(metadata, signature))
        return self._ask(event, "PUT", f"/shadir/{key}", json.dumps(event.pair).encode())[0]

    def download(self, digest):
        event, body = self._ask(Event(DOWNLOAD, digest, time.monotonic()), "GET", f"/shacache/{digest}")
        event.is_right = event.status != 200 or hashlib.sha512(body).hexdigest() == digest
        return event

    def look_up(self, key):
        event, body = self._ask(Event(LOOK_UP, key, time.monotonic()), "GET", f"/shadir/{key}")
        event.pairs = [tuple(pair) for pair in json.loads(body)] if event.status == 200 else []
        return event

    def close(self):
        self._connection.close()

    def _ask(self, event, method, target, body=None):
        found = b""
        try:
            self._connection.request(method, target, body)
            answer = self._connection.getresponse()
            found = answer.read()
            event.status = answer.status
            event.said = "" if answer.status < 300 else found.decode().strip()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # the next request opens it again
            event.said = repr(error)
        event.ended = time.monotonic()
        self._history.events.append(event)
        return event, found


class History:
    def __init__(self, stack):
        self._stack = stack
        self.events = []  # appending is atomic in Python: no lock

    def of(self, *operations):
        return [event for event in self.events if event.operation in operations]

    def statuses(self, *operations):
        """How often each was answered."""
        return Counter(event.status for event in self.of(*operations))

    def failures(self, *operations):
        """What was said instead of 200 or 201, and how often."""
        return Counter(
            (event.operation, event.status, event.said)
            for event in self.of(*operations)
            if event.status not in (200, 201))

    def check(self):
        """Raises an AssertionError when a promise was broken. Nobody may be at work any more.

        Returns the digests of the files without row, which a crash may leave and nothing else.
        """
        wrong = [event for event in self.events if not event.is_right]
        assert not wrong, f"answers with wrong bytes: {wrong}"
        self._check_downloads()
        sent = defaultdict(lambda: defaultdict(list))
        for event in self.of(LIST):
            sent[event.name][event.pair].append(event)
        for event in self.of(LOOK_UP):
            _check_listing(event, sent[event.name])
        self._read_everything_back(sent)
        self._check_record()
        return check_store(self._stack)

    def _check_downloads(self):
        acknowledged = {}
        for event in self.of(UPLOAD):
            if event.status == 201:
                acknowledged[event.name] = min(event.ended, acknowledged.get(event.name, event.ended))
        for event in self.of(DOWNLOAD):
            if event.status == 404:
                assert event.began < acknowledged.get(event.name, event.ended), f"acknowledged, then not there: {event}"

    def _read_everything_back(self, sent):
        after = History(self._stack)
        client = Client(self._stack, after)
        for digest in {event.name for event in self.of(UPLOAD) if event.status == 201}:
            event = client.download(digest)
            assert event.status == 200 and event.is_right, f"acknowledged, and lost: {event}"
        for key, pairs in sent.items():
            _check_listing(client.look_up(key), pairs)
        client.close()

    def _check_record(self):
        """An accepted upload is on record: once for each 201, and at most once for each time that it was sent."""
        rows = Database(self._stack).run(
            "SELECT encode(sha512, 'hex'), count(*) FROM shacache.upload"
            " WHERE outcome = 'accepted' AND target = 'blob' GROUP BY 1")
        recorded = {digest: int(count) for digest, count in rows}
        for digest, statuses in self._statuses_by_digest().items():
            count = recorded.get(digest, 0)
            assert statuses[201] <= count <= statuses.total(), f"{digest}: {count} on record, {statuses}"

    def _statuses_by_digest(self):
        statuses = defaultdict(Counter)
        for event in self.of(UPLOAD):
            statuses[event.name][event.status] += 1
        return statuses


def _check_listing(look_up, sent):
    """`sent` holds every time that each pair was put under this key."""
    if look_up.status not in (200, 404):
        return
    found = Counter(look_up.pairs)
    assert set(found) <= set(sent), f"under {look_up.name} stands what nobody sent: {set(found) - set(sent)}"
    twice = [pair for pair, count in found.items() if count > 1]
    assert not twice, f"under {look_up.name} stands twice: {twice}"
    acknowledged = {
        pair: min(event.ended for event in events if event.status == 201)
        for pair, events in sent.items()
        if any(event.status == 201 for event in events)}
    lost = [pair for pair, ended in acknowledged.items() if ended < look_up.began and pair not in found]
    assert not lost, f"under {look_up.name} are missing: {lost}"
    for younger_at, younger in enumerate(look_up.pairs):
        first_sent = min(event.began for event in sent[younger])
        for older in look_up.pairs[younger_at + 1:]:
            assert acknowledged.get(older, first_sent) >= first_sent, f"{look_up.name} is not oldest first"


def check_store(stack):
    """The offline check: the store against the database. Returns the digests of the files without row."""
    incoming = stack.spool
    eventually(lambda: not list(incoming.iterdir()))
    database = Database(stack)
    rows = database.run("SELECT encode(sha512, 'hex'), size FROM shacache.blob WHERE withdrawal_id IS NULL")
    for digest, size in rows:
        with open(stack.blob_file(digest), "rb") as file:
            assert hashlib.file_digest(file, "sha512").hexdigest() == digest, f"{digest}: the file holds other bytes"
            assert file.tell() == int(size), f"{digest}: {file.tell()} bytes, {size} on record"
    dangling = database.run(
        "SELECT target, request_id FROM shacache.upload WHERE outcome = 'accepted' AND NOT CASE target"
        " WHEN 'blob' THEN EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = upload.sha512)"
        " ELSE EXISTS (SELECT FROM shacache.entry WHERE entry.key = upload.key AND entry.sha512 = upload.sha512) END")
    assert not dangling, f"accepted, and not there: {dangling}"
    counted = stack.admin("account", "recount", check=False)
    assert counted.returncode == 0, f"what accounts have stored is miscounted: {counted}"
    return {path.name for path in stack.store.glob("blobs/*/*")} - {digest for digest, _ in rows}


def content(number):
    """Bytes by number, so that several clients can send the same ones. Most are small; some are large enough that
    nginx asks for admission; one is empty."""
    generator = random.Random(number)
    if number % 25 == 1:
        return generator.randbytes(1_200_000)
    return generator.randbytes(generator.randrange(1, 50_000)) if number else b""


class Load:
    """Uploaders over TLS and readers over plain HTTP, for as long as the block runs."""

    KEYS = 20

    def __init__(self, stack, history, uploaders=8, readers=4, pause=0):
        """`pause`: seconds between two requests of a client, at most. Without it, a slow test meets all the more blobs."""
        self._stack = stack
        self._pause = pause
        self._history = history
        self._threads = [threading.Thread(target=self._run, args=(self._send, number)) for number in range(uploaders)]
        self._threads += [threading.Thread(target=self._run, args=(self._read, number)) for number in range(readers)]
        self._over = threading.Event()
        self._errors = []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()
        assert not self._errors, self._errors

    def wait_for(self, count, *operations, seconds=60):
        """Until so many more of these requests were answered as they asked."""
        def done():
            return sum(event.status in (200, 201) for event in self._history.of(*operations))

        goal = done() + count
        eventually(lambda: self._errors or self._stack.runner.poll() is not None or done() >= goal, seconds)
        assert self._stack.runner.poll() is None, self._stack.output.read_text()

    def _run(self, work, number):
        client = Client(self._stack, self._history, self._stack.tls() if work == self._send else None)
        generator = random.Random(number)
        try:
            while not self._over.is_set():
                work(client, generator)
                time.sleep(generator.random() * self._pause)
        except Exception as error:  # noqa: BLE001: shown by the thread that waits for this one
            self._errors.append(error)
        finally:
            client.close()

    def _send(self, client, generator):
        # One in ten is a number that all uploaders draw from.
        number = generator.randrange(20) if generator.random() < 0.1 else generator.randrange(20, 1_000_000)
        event = client.upload(content(number))
        if number % 5 == 0:
            entry = generator.randrange(10 * self.KEYS)  # now and then one that was sent before
            client.list(f"key-{entry % self.KEYS}", json.dumps({"sha512": event.name, "number": entry}))

    def _read(self, client, generator):
        uploads = self._history.of(UPLOAD)
        if uploads:
            client.download(generator.choice(uploads[-50:]).name)
        client.look_up(f"key-{generator.randrange(self.KEYS)}")
