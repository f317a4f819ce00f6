"""Collections beside clients that upload, list, download, withdraw and lift: what must hold whatever is killed."""

import hashlib
import json
import random
import subprocess
import threading
import time
from collections import defaultdict

from history import DOWNLOAD, LIST, LOOK_UP, UPLOAD, Client, Load
from stack import REPOSITORY, Database, eventually

# Seconds in which nothing goes that was uploaded or named. All else goes at once: each collection has something to do.
UNTOUCHED = 3
SETTINGS = f"""
[collection]
grace = "0 seconds"
untouched = "{UNTOUCHED} seconds"
removal-delay = "0 seconds"
trash = "0 seconds"
rate = 1000000

[[retention]]
name = "entries"
key-prefix = "goes-"
keep-since-upload = "1 second"

[[retention]]
name = "blobs"
blobs = "unnamed"
keep-since-upload = "1 second"
"""
# Blobs that are withdrawn and lifted: readers may be told 404 of these at any time.
WITHDRAWN = range(8)
# All others are uploaded again and again, so that uploads meet their removal.
OTHERS = range(8, 160)


def content(number):
    return random.Random(number).randbytes(1 + number * 37 % 5000)


def name(number):
    return hashlib.sha512(content(number)).hexdigest()


class CollectedLoad(Load):
    """Uploaders whose blobs and entries go, and readers. A policy must not let go of everything: `stays` never goes."""

    KEYS = 12

    def __init__(self, stack, history, pause, **how):
        super().__init__(stack, history, pause=pause, **how)
        self._threads.append(threading.Thread(target=self._run, args=(self._withdraw, 1)))

    def _send(self, client, generator):
        number = generator.choice(WITHDRAWN if generator.random() < 0.05 else OTHERS)
        event = client.upload(content(number))
        if generator.random() < 0.5:
            # Few pairs: many are put again, while they are visible, hidden, or gone.
            kind = "stays" if generator.random() < 0.1 else "goes"
            key = f"{kind}-{number % self.KEYS}"
            client.list(key, json.dumps({"sha512": event.name, "number": number}))

    def _read(self, client, generator):
        number = generator.choice(OTHERS)
        client.download(name(number))
        kind = generator.choice(["stays", "goes"])
        client.look_up(f"{kind}-{generator.randrange(self.KEYS)}")

    def _withdraw(self, _client, generator):
        digest = name(generator.choice(WITHDRAWN))
        self._stack.admin("blob", "withdraw", digest, "--reason", "a test", check=False)
        time.sleep(20 * self._pause + generator.random())
        listed = json.loads(self._stack.admin("withdrawal", "list", "--json").stdout)
        for row in listed:
            if row["target"] == "blob" and row["lifted_at"] is None:
                self._stack.admin("withdrawal", "lift", str(row["number"]), check=False)


class Collector:
    """`collect apply`, again and again, for as long as the block runs, and again when it was killed."""

    def __init__(self, stack, every=0):
        self._stack = stack
        self._words = ["collect", "apply", "--every", str(every), "--config", stack.state / "shacache.toml"]
        self.log = stack.state / "collect.log"

    def __enter__(self):
        self._start()
        return self

    def __exit__(self, *_):
        self.kill(again=False)

    def _start(self):
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                [REPOSITORY / ".build/release/shacache-admin", *self._words], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=log)

    def kill(self, again=True):
        assert self._process.poll() is None, self.log.read_text()
        self._process.kill()
        self._process.wait()
        if again:
            self._start()

    def count(self):
        """Of all that came to their end, whoever ran them."""
        [(count,)] = Database(self._stack).run(
            "SELECT count(*) FROM shacache.collection WHERE finished_at IS NOT NULL AND problem IS NULL")
        return int(count)


def collect(stack, *words):
    return json.loads(stack.admin("collect", "apply", "--json", *words).stdout)


def check_history(stack, history):
    """What clients were told, though collections ran beside them; none does any more."""
    wrong = [event for event in history.events if not event.is_right]
    assert not wrong, f"answers with wrong bytes: {wrong}"
    uploads = defaultdict(list)
    for event in history.of(UPLOAD):
        if event.status == 201:
            uploads[event.name].append(event)
    puts = defaultdict(list)
    for event in history.of(LIST):
        if event.status == 201:
            puts[event.name].append(event)
    withdrawn = {name(number) for number in WITHDRAWN}
    _check_downloads(history, uploads, withdrawn)
    _check_lookups(history, puts)
    return _check_listed(stack, uploads, puts, withdrawn)


def _check_downloads(history, uploads, withdrawn):
    """What was acknowledged is there for a while, whatever goes."""
    for event in history.of(DOWNLOAD):
        if event.status != 404 or event.name in withdrawn:
            continue
        missed = [
            upload for upload in uploads[event.name]
            if upload.ended <= event.began and event.ended <= upload.began + UNTOUCHED]
        assert not missed, f"acknowledged, then not there: {event}, {missed}"


def _check_lookups(history, puts):
    """The same of entries; and those that no policy matches stay."""
    for event in history.of(LOOK_UP):
        if event.status not in (200, 404):
            continue
        twice = len(event.pairs) - len(set(event.pairs))
        assert not twice, f"stands twice: {event}"
        for put in puts[event.name]:
            is_held = event.name.startswith("stays") or event.ended <= put.began + UNTOUCHED
            assert put.ended > event.began or not is_held or put.pair in event.pairs, f"missing: {put}, {event}"


def _check_listed(stack, uploads, puts, withdrawn):
    """Reads back each blob that is still listed, and that was there when it was: the entry was acknowledged before the blob
    could go. Returns how many."""
    checked = 0
    for key, events in puts.items():
        listed = {tuple(pair) for pair in stack.entries(key) or []}
        for pair in listed:
            digest = json.loads(pair[0])["sha512"]
            if digest in withdrawn:
                continue
            held = any(
                upload.ended <= put.began and put.ended <= upload.began + UNTOUCHED
                for put in events if put.pair == pair for upload in uploads[digest])
            if held:
                status, _, body = stack.request("GET", f"/shacache/{digest}")
                assert status == 200, f"listed under {key}, and lost: {digest}"
                assert hashlib.sha512(body).hexdigest() == digest
                checked += 1
    return checked


def check_counts(stack):
    """All that is kept beside blobs and entries, after whatever was killed."""
    # What was under way in a transaction of a session whose process was killed.
    eventually(lambda: stack.admin("check", "--deep", check=False).returncode == 0)
    done = stack.admin("account", "recount", check=False)
    assert done.returncode == 0, done
    # Entries without blob are known as such, and no others; each key's entries are counted.
    wrong = Database(stack).run("""
        SELECT entry.id FROM shacache.entry
        WHERE NOT EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = entry.sha512)
            AND NOT EXISTS (SELECT FROM shacache.entry_before_blob AS noted WHERE noted.entry_id = entry.id)
        UNION ALL
        SELECT noted.entry_id FROM shacache.entry_before_blob AS noted
        WHERE NOT EXISTS (SELECT FROM shacache.entry WHERE entry.id = noted.entry_id)
        UNION ALL
        SELECT 0 FROM (SELECT key, count(*) AS entries FROM shacache.entry GROUP BY key) AS present
        FULL JOIN shacache.key_count USING (key) WHERE present.entries IS DISTINCT FROM key_count.entries""")
    assert not wrong, wrong
    survey = json.loads(stack.admin("survey", "--json").stdout)
    found = {row["kind"]: row["files"] for row in survey}
    [(blobs, trash)] = Database(stack).run(
        "SELECT (SELECT count(*) FROM shacache.blob WHERE withdrawal_id IS NULL), (SELECT count(*) FROM shacache.trash)")
    assert found["referenced"] + found["unreferenced"] == int(blobs), (found, blobs)
    assert found["trash"] == int(trash) and found["dangling"] == 0, (found, trash)
