"""`shacache-admin import` and `export`: other caches' contents come in as uploads do, and ours go out as they are."""

import hashlib
import io
import json
import os
import signal
import subprocess
import time
from urllib.parse import quote

import processes
import pytest
from administration import ADMIN, listed, name
from deployed import client_of, marks, metadata_of, new_key, selected, sign
from history import check_store
from impostor import reply
from slapproxy import SlapproxyCache
from stack import Database, eventually
from test_database_away import stopped_database, wait_for_database
from test_full_disk import Ballast, start_on  # noqa: F401: a fixture
from test_memory import most_resident


@pytest.fixture
def account(stack):
    """A new account of the cache that tests share."""
    stack.admin("account", "add", made := name())
    return made


@pytest.fixture
def slapproxy(tmp_path):
    """The directories of a slapproxy, which need not run."""
    return SlapproxyCache(tmp_path / "slapproxy")


def import_from(stack, account, kind, *words, check=True):
    """What it says with --json, how it ended, and what it told people."""
    done = stack.admin("import", kind, *words, "--account", account, "--json", check=check)
    return json.loads(done.stdout), done


def import_slapproxy(stack, account, slapproxy, **how):
    return import_from(stack, account, "slapproxy", slapproxy.content, "--metadata", slapproxy.metadata, **how)


def counts(summary):
    return {name: summary[name] for name in ("blobs", "entries", "duplicates", "absent", "refused")}


def sums(blobs=0, entries=0, duplicates=0, absent=0, refused=0):
    return {"blobs": blobs, "entries": entries, "duplicates": duplicates, "absent": absent, "refused": refused}


def sha512(data):
    return hashlib.sha512(data).hexdigest()


def uploads_of(stack, account):
    return Database(stack).run(
        f"""SELECT target, request_id, duplicate, signature_result FROM shacache.upload JOIN shacache.account
            ON account.id = account_id WHERE name = '{account}' ORDER BY upload.id""")


# From slapproxy


# The whole way: the real slapproxy, filled by the real client, is imported, and the real client reads it here. Fails
# without SpooledBody.takeOwner when root runs it: nginx can't read what root alone may.
def test_what_the_real_client_gave_to_the_real_slapproxy_it_gets_from_here(stack, account, slapproxy):
    files = {f"{new_key()}:{number}": os.urandom(size) for number, size in enumerate((0, 1, 5000, 3_000_000))}
    with slapproxy:
        client = slapproxy.client(stack)
        for key, data in files.items():
            client.upload(io.BytesIO(b"older" + data), key, number=0, name="é")
            client.upload(io.BytesIO(data), key, number=1, name="é")
    # Another test of this cache may have uploaded an empty blob.
    had = int(stack.blob_file(sha512(b"")).exists())
    summary, done = import_slapproxy(stack, account, slapproxy)
    assert counts(summary) == sums(blobs=8 - had, duplicates=had, entries=4), done
    assert summary["bytes"] == sum(2 * len(data) + 5 for data in files.values())
    reader = client_of(stack)
    for key, data in files.items():
        # Of each key slapproxy keeps the last entry.
        (entry,) = selected(reader, key)
        assert (entry["number"], entry["name"]) == (1, "é")
        assert reader.download(entry["sha512"]).read() == data
        assert marks(stack, key) == [("verified", "demo")]
    # It is marked, by whom and as what; and nothing changes when it is done again.
    recorded = uploads_of(stack, account)
    assert {request for _, request, _, _ in recorded} == {summary["request_id"]} and len(recorded) == 12 - had
    (row,) = [row for row in listed(stack, "report", "imports") if row["request_id"] == summary["request_id"]]
    assert (row["kind"], row["account"], row["source"]) == ("slapproxy", account, str(slapproxy.content))
    assert (row["blobs"], row["entries"], row["problem"]) == (8 - had, 4, None) and row["finished_at"]
    assert Database(stack).run(
        f"SELECT count(*) FROM shacache.audit WHERE action = 'import' AND subject = '{summary['request_id']}'") == [("1",)]
    again, _ = import_slapproxy(stack, account, slapproxy)
    assert counts(again) == sums(duplicates=12)
    assert uploads_of(stack, account) == recorded


# Importer.storeList, ImportLedger.attempt: one bad thing stops nothing else.
def test_what_is_wrong_is_listed_with_its_reason_and_the_rest_comes_in(stack, account, slapproxy):
    good, first, last = os.urandom(1000), os.urandom(10), os.urandom(11)
    for data in good, first, last:
        slapproxy.add(data, sha512(data))
    wrong = sha512(b"what it should be")
    slapproxy.add(b"what it is", wrong)
    slapproxy.add(b"", "README")
    key, lost, broken, alien = (new_key() for _ in range(4))
    texts = [metadata_of(sha512(first), n=1), metadata_of(sha512(good)), metadata_of(sha512(last), n=2)]
    slapproxy.add(key=key, pairs=[
        [texts[0], sign(stack, texts[0])], [texts[1], "no base64"], [texts[1]], [texts[1], ""], ["{}", ""],
        [texts[2], sign(stack, texts[2])]])
    slapproxy.add(key=lost, pairs=[[metadata_of(wrong), ""]])
    slapproxy.add(key=broken, pairs='[["')
    slapproxy.add(key=alien, pairs='{"a": 1}')
    os.symlink("/etc/passwd", slapproxy.metadata / "link")
    (slapproxy.metadata / os.fsdecode(b"\xff")).write_text("[]")
    summary, done = import_slapproxy(stack, account, slapproxy, check=False)
    assert done.returncode == 1 and counts(summary) == sums(blobs=3, entries=4, absent=1, refused=9), done
    reasons = {refused["item"].removeprefix(str(slapproxy.content.parent)): refused["reason"] for refused in summary["refusals"]}
    assert reasons == {
        f"/content/{wrong}": f"the body's SHA-512 is {sha512(b'what it is')}, not {wrong}",
        "/content/README": "its name is no SHA-512",
        f"{key}, entry 2": "the signature is not base64",
        f"{key}, entry 3": "the body is not a list of exactly two strings",
        f"{key}, entry 5": "the metadata has no sha512",
        f"/metadata/{broken}": "the list is not JSON: a string has no end at byte 3",
        f"/metadata/{alien}": "this is no list of pairs",
        "/metadata/link": "is no ordinary file",
        "/metadata/\\xFF": "the key is not valid UTF-8",
    }
    for item, reason in reasons.items():
        assert f"{item}: {reason}" in done.stderr
    assert f"absent: blob {wrong}: named under {lost}" in done.stderr
    # In their order, and the client can read the key.
    assert [pair[0] for pair in stack.entries(key)] == [texts[0], texts[1], texts[2]]
    assert [entry["n"] for entry in selected(client_of(stack), key)] == [1, 2]
    assert stack.request("GET", f"/shacache/{wrong}")[0] == 404
    assert stack.entries(lost) == [[metadata_of(wrong), ""]] and stack.entries(broken) is None
    assert not list(stack.spool.iterdir())


# PresentPairs.contains.
def test_another_writing_of_a_signature_is_the_same_entry(stack, account, slapproxy):
    text, key = metadata_of("a" * 128), new_key()
    signature = sign(stack, text)
    slapproxy.add(key=key, pairs=[[text, signature]])
    import_slapproxy(stack, account, slapproxy)
    slapproxy.add(key=key, pairs=[[text, f"{signature[:60]}\n{signature[60:]}"]])
    summary, _ = import_slapproxy(stack, account, slapproxy)
    assert counts(summary) == sums(duplicates=1, absent=1)
    assert len(uploads_of(stack, account)) == 1 and stack.entries(key) == [[text, signature]]


# The same rules as for an upload


# UploadRules.judge and Importer.confirming.
def test_the_servers_rules_and_the_accounts_limits_count(start, slapproxy):
    stack = start()
    stack.configure('[uploads]\nsignatures = "require"\nblob-size-limit = 5000\n')
    stack.admin("account", "add", "old", "--blobs-limit", "2", "--role", "none", "--key-prefix", "elsewhere:")
    data = [os.urandom(size) for size in (5001, 10, 20, 30)]
    for blob in data:
        slapproxy.add(blob, sha512(blob))
    text, key = metadata_of(sha512(data[1])), new_key()
    slapproxy.add(key=key, pairs=[[text, ""], [text, sign(stack, text)]])
    summary, done = import_slapproxy(stack, "old", slapproxy, check=False)
    # An account's roles and prefixes are about what it may do itself.
    assert done.returncode == 1 and counts(summary) in [
        sums(blobs=2, entries=1, refused=3, absent=absent) for absent in (0, 2)], done
    said = sorted(refused["reason"] for refused in summary["refusals"])
    assert said[0].startswith("a blob may have at most 5000 bytes")
    assert said[1].startswith("blobs limit: the account old may store 2 blobs")
    assert said[2].startswith("this server takes signed entries only")
    assert stack.entries(key) == [[text, sign(stack, text)]]
    # What was withdrawn stays so.
    (hidden,) = [blob for blob in data if (stack.blob_file(sha512(blob))).exists()][:1]
    stack.admin("blob", "withdraw", sha512(hidden), "--reason", "secret")
    summary, done = import_slapproxy(stack, "old", slapproxy, check=False)
    assert "this blob was withdrawn: secret" in {refused["reason"] for refused in summary["refusals"]}
    assert check_store(stack) == set()


@pytest.mark.parametrize("words, says", [
    (["slapproxy", "/nowhere", "--account", "demo"], "/nowhere"),
    (["exported", "/nowhere", "--account", "demo"], "/nowhere/shacache"),
    (["tree", "/etc/ssl/certs", "--urls", "/nowhere", "--account", "demo"], "/nowhere"),
    (["http", "--keys", "/nowhere", "http://127.0.0.1:9", "--account", "demo"], "/nowhere"),
    (["tree", "/var/empty-not-there", "--account", "demo"], "/var/empty-not-there"),
    (["slapproxy", ".", "--metadata", ".", "--account", "nobody"], "there is no account nobody"),
])
def test_what_can_t_be_begun_is_said_in_a_line(stack, words, says):
    done = stack.admin("import", *words, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1) and says in done.stderr, done


# A worker makes these directories at its start. Fails without LocalBlobs.prepareForOwner in ImportOptions.perform.
def test_a_store_that_no_worker_has_opened_yet_is_made_ready(start, tmp_path):
    stack, store = start(), tmp_path / "new"
    config = tmp_path / "shacache.toml"
    config.write_text((stack.state / "shacache.toml").read_text().replace(f'"{stack.store}"', f'"{store}"'))
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_bytes(data := os.urandom(1000))
    words = [ADMIN, "import", "tree", tmp_path / "tree", "--account", "demo", "--config", config]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == f"shacache-admin: {store}: open the store's directory: no such file or directory\n"
    store.mkdir()
    owner = stack.store.stat()
    os.chown(store, owner.st_uid, owner.st_gid)
    subprocess.run(words, check=True)
    file = store / "blobs" / sha512(data)[:2] / sha512(data)
    assert file.read_bytes() == data
    for path in store / "blobs", store / "blobs/00", store / "journal", store / "incoming" / os.uname().nodename, file:
        assert path.stat().st_uid == owner.st_uid, path


# Stopped, and gone on with


def fill(slapproxy, stack, count):
    """Many files, and keys with three entries each."""
    blobs = [os.urandom(2000) for _ in range(count)]
    keys = {}
    for number, blob in enumerate(blobs):
        slapproxy.add(blob, sha512(blob))
        keys[f"{new_key()}:{number}"] = [[metadata_of(sha512(blob), n=n), ""] for n in range(3)]
    for key, pairs in keys.items():
        slapproxy.add(key=key, pairs=pairs)
    return blobs, keys


def assert_complete(stack, blobs, keys):
    for blob in blobs:
        assert stack.request("GET", f"/shacache/{sha512(blob)}")[2] == blob
    assert {key: stack.entries(key) for key in keys} == keys
    assert check_store(stack) == set()


# Importer.storeBlob and presentPairs leave alone what is there.
def test_a_killed_import_goes_on(start, slapproxy):
    stack = start()
    blobs, keys = fill(slapproxy, stack, 300)
    words = [ADMIN, "import", "slapproxy", slapproxy.content, "--metadata", slapproxy.metadata, "--account", "demo",
             "--jobs", "1", "--config", stack.state / "shacache.toml"]
    for table, enough in ("blob", 100), ("entry", 100):
        counted = lambda: int(Database(stack).run(f"SELECT count(*) FROM shacache.{table}")[0][0])
        with subprocess.Popen(words, stderr=subprocess.DEVNULL) as running:
            eventually(lambda: counted() > enough, 60)
            running.send_signal(signal.SIGKILL)
    done = subprocess.run([*words, "--json"], capture_output=True, check=True)
    summary = json.loads(done.stdout)
    assert summary["duplicates"] > 300 and summary["refused"] == 0
    # At its start a worker sweeps what was on its way.
    processes.fresh_worker(stack)
    assert_complete(stack, blobs, keys)
    unfinished = [row for row in listed(stack, "report", "imports") if row["finished_at"] is None]
    assert len(unfinished) == 2


# ImportRun.work: what is so for all items ends the run.
def test_without_the_database_it_stops_and_goes_on_later(start, slapproxy):
    stack = start()
    blobs, keys = fill(slapproxy, stack, 200)
    words = ["import", "slapproxy", slapproxy.content, "--metadata", slapproxy.metadata, "--account", "demo"]
    with subprocess.Popen([ADMIN, *words, "--config", stack.state / "shacache.toml"], stderr=subprocess.PIPE, text=True) as running:
        eventually(lambda: int(Database(stack).run("SELECT count(*) FROM shacache.blob")[0][0]) > 20, 60)
        with stopped_database(stack):
            said = running.communicate(timeout=120)[1]
    assert running.returncode == 1 and "stopped: database: " in said and "run it again" in said, said
    wait_for_database(stack)
    stack.admin(*words)
    assert_complete(stack, blobs, keys)


# ImportLedger's isOfOneItem, LocalBlobs.admit.
def test_a_full_disk_stops_it_and_with_room_it_goes_on(start_on, slapproxy):  # noqa: F811
    stack = start_on("size=48m")
    blobs = [os.urandom(1 << 20) for _ in range(30)]
    for blob in blobs:
        slapproxy.add(blob, sha512(blob))
    ballast = Ballast(stack)
    ballast.take_bytes(24 << 20)
    summary, done = import_slapproxy(stack, "demo", slapproxy, check=False)
    # Not admitted, or the room was taken meanwhile.
    full = "the store has no room" in summary["problem"] or "no space left" in summary["problem"]
    assert done.returncode == 1 and full and summary["refused"] == 0, done
    assert 0 < summary["blobs"] < 30 and "run it again" in done.stderr
    ballast.throw_off()
    again, _ = import_slapproxy(stack, "demo", slapproxy)
    assert counts(again) == sums(blobs=30 - summary["blobs"], duplicates=summary["blobs"])
    assert check_store(stack) == set()


# From another server


def import_http(stack, account, keys, *urls, check=True):
    done = subprocess.run(
        [ADMIN, "import", "http", "--keys", "-", *urls, "--jobs", "1", "--account", account, "--json", "--config", stack.state / "shacache.toml"],
        input="\n".join(keys), capture_output=True, text=True)
    assert not check or done.returncode == 0, done
    return json.loads(done.stdout) if done.stdout else None, done


# RemoteKeys: each pair, and each blob, is judged by itself.
def test_another_servers_keys_come_with_their_blobs(stack, account, impostor):
    good, wrong, lost = os.urandom(200_000), sha512(b"wrong"), sha512(b"lost")
    impostor.has(good)
    impostor.blobs[wrong] = b"something else"
    key, broken, awkward, long = new_key(), new_key(), f"{new_key()} ?#%2F/é", new_key()
    pairs = [[metadata_of(sha512(good), n=1), ""], [metadata_of(wrong), ""], ["nonsense", ""], [metadata_of(lost), ""],
             [metadata_of(sha512(good), n=2), ""]]
    impostor.listings = {key: pairs, broken: b"<html>", quote(awkward, safe=":/"): pairs[:1], long: b" " * (5 << 20)}
    summary, done = import_http(stack, account, [key, "nothing", "", broken, awkward, "a\x01b", long], impostor.url, check=False)
    assert done.returncode == 1 and counts(summary) == sums(blobs=1, entries=5, duplicates=2, absent=2, refused=5), done
    reasons = {refused["item"]: refused["reason"] for refused in summary["refusals"]}
    assert "sent other bytes" in reasons[f"blob {wrong} of {key}"]
    assert "the metadata is not JSON" in reasons[f"{key}, entry 3"]
    assert "the list is not JSON" in reasons[f"key {broken}"]
    assert "control character" in reasons["key a\x01b"]
    assert "has more than" in reasons[f"key {long}"]
    assert stack.entries(key) == [pairs[0], pairs[1], pairs[3], pairs[4]]
    assert stack.request("GET", f"/shacache/{sha512(good)}")[2] == good
    assert json.loads(stack.request("GET", f"/shadir/{quote(awkward, safe=':/')}")[2]) == pairs[:1]


# RemoteKeys.bring: an entry doesn't come before its blob, nor before those that stand before it.
def test_a_server_in_trouble_keeps_the_rest_of_a_key_for_the_next_run(stack, account, impostor):
    blobs = [os.urandom(100) for _ in range(3)]
    key, other = new_key(), new_key()
    pairs = [[metadata_of(impostor.has(blob)), ""] for blob in blobs]
    impostor.listings = {key: pairs, other: pairs[:1]}
    impostor.answer = lambda handler: reply(handler, 507) if handler.path.endswith(sha512(blobs[1])) else None
    # 507 isn't asked for again, and is no verdict about the blob either.
    summary, done = import_http(stack, account, [key, other], impostor.url, check=False)
    impostor.answer = None
    assert done.returncode == 1 and summary["refused"] == 1, done
    assert stack.entries(key) == pairs[:1] and stack.entries(other) == pairs[:1]
    summary, _ = import_http(stack, account, [key, other], impostor.url)
    assert stack.entries(key) == pairs and summary["entries"] == 2


def test_a_server_that_is_gone_ends_it_in_a_line(stack, account, impostor):
    impostor.answer = lambda handler: handler.connection.close() or True
    summary, done = import_http(
        stack, account, ["a", "b", "c"], "http://127.0.0.1:1", "--timeout", "2", check=False)
    assert done.returncode == 1 and "stopped: http://127.0.0.1:1/" in done.stderr and "run it again" in done.stderr, done


def test_a_slapproxy_is_read_over_http_too(stack, account, slapproxy):
    key, data = new_key(), os.urandom(1000)
    with slapproxy:
        slapproxy.client(stack).upload(io.BytesIO(data), key, n=1)
        summary, _ = import_http(stack, account, [key], slapproxy.cache_url, slapproxy.dir_url)
    assert counts(summary) == sums(blobs=1, entries=1)
    assert client_of(stack).download(selected(client_of(stack), key)[0]["sha512"]).read() == data


# From a tree


def test_a_tree_of_downloads_is_found_by_their_urls(stack, account, tmp_path):
    url = f"https://example.org/{os.urandom(4).hex()}"
    files = {"a-1.0.tar.gz": os.urandom(100), "deep/er/b": os.urandom(200), "c": os.urandom(300)}
    for path, data in files.items():
        (tmp_path / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / path).write_bytes(data)
    os.mkfifo(tmp_path / "tree/pipe")
    urls = tmp_path / "urls"
    urls.write_text(f"{url}/a-1.0.tar.gz\n{url}/c?x\tdeep/er/b\n\n{url}/none\n{url}/out\t../urls\n{url}/c?x\tc\n")
    words = [tmp_path / "tree", "--urls", urls, "--signature-private-key-file", stack.env["SIGN_KEY"]]
    summary, done = import_from(stack, account, "tree", *words, check=False)
    assert done.returncode == 1 and counts(summary) == sums(blobs=3, entries=3, duplicates=3, refused=3), done
    client = client_of(stack)
    for part, data in ("/a-1.0.tar.gz", [files["a-1.0.tar.gz"]]), ("/c?x", [files["deep/er/b"], files["c"]]):
        key = f"file-urlmd5:{hashlib.md5((url + part).encode()).hexdigest()}"
        entries = selected(client, key)
        # As the deployed clients write them, in their order too.
        assert stack.entries(key)[0][0] == json.dumps({"sha512": sha512(data[0]), "url": url + part})
        assert [client.download(entry["sha512"]).read() for entry in entries] == data
    assert import_from(stack, account, "tree", *words, check=False)[0]["duplicates"] == 9


# Out, and in again elsewhere


KEYS = ["plain", "pypi:six=1.16.0", "https://example.org/a//b?c=d", "..a", "100%", "a%2Fb", "a/b", "é \u0301x", "l" * 255,
        "l" * 256, "/" * 1024, "%" * 400, "é" * 512]


def fill_with_everything(stack):
    """Returns the targets of all GETs that are to be the same elsewhere."""
    blobs = [stack.upload(os.urandom(size)) for size in (0, 1, 70_000, 2_000_000)]
    unlisted = stack.upload(b"nobody lists it")
    for number, key in enumerate(KEYS):
        target = quote(key, safe=":/")
        for n in range(3):
            stack.index(target, metadata_of(blobs[(number + n) % 3], n=n, nan=float("nan"), text="é\u0000\"\\"), "")
    stack.index("dangling", metadata_of("d" * 128))
    stack.index("none", metadata_of("e" * 128))
    text = metadata_of(blobs[3])
    stack.index("signed", text, sign(stack, text))
    stack.index("one", json.dumps({"sha512": unlisted, "raw": "é\n"}, ensure_ascii=False))
    return [f"/shadir/{quote(key, safe=':/')}" for key in [*KEYS, "dangling", "signed", "one", "never"]] + [
        f"/shacache/{digest}" for digest in [*blobs, unlisted, "d" * 128]]


def answers(stack, targets):
    return {target: (status, body) for target in targets for status, headers, body in [stack.request("GET", target)]}


def export(stack, directory, *words, **how):
    done = stack.admin("export", directory, *words, "--json", **how)
    return json.loads(done.stdout), done


# Entries.list, KeyFileName, Importer.storeList.
@pytest.mark.parametrize("words", [[], ["--link"]])
def test_export_and_import_elsewhere_give_the_same_gets(start, tmp_path, words):
    here, there = start(), start()
    targets = fill_with_everything(here)
    withdrawn = here.upload(b"withdrawn")
    here.admin("blob", "withdraw", withdrawn, "--reason", "test")
    (row,) = listed(here, "entry", "list", "none")
    here.admin("entry", "withdraw", str(row["number"]), "--reason", "test")
    (row, *_) = listed(here, "entry", "list", "a/b")
    here.admin("entry", "withdraw", str(row["number"]), "--reason", "test")
    wanted = answers(here, targets)
    assert [len(json.loads(wanted[f"/shadir/{key}"][1])) for key in ("plain", "a/b", "dangling")] == [3, 2, 1]
    # Beside the store, so that it is on one file system with it.
    directory = here.state / "exported"
    summary, _ = export(here, directory, *words)
    assert summary["damaged"] == 0 and not (directory / "partial").exists()
    files = {path.name for path in (directory / "shacache").iterdir()}
    assert withdrawn not in files and summary["blobs"] == len(files)
    assert all(sha512((directory / "shacache" / file).read_bytes()) == file for file in files)
    assert all((directory / "shacache" / file).stat().st_nlink == (2 if words else 1) for file in files)
    assert (directory / "shadir/a%2Fb").read_bytes() == wanted["/shadir/a/b"][1]
    assert not (directory / "shadir/none").exists()
    imported, done = import_from(there, "demo", "exported", directory)
    assert imported["refused"] == 0 and imported["absent"] == 1, done
    assert answers(there, targets) == wanted
    # And back again: nothing is new.
    assert export(here, directory, *words)[0] == {
        "blobs": 0, "bytes": 0, "keys": 0, "present": summary["blobs"] + summary["keys"], "removed": 0, "damaged": 0}
    assert check_store(there) == set()


# slapproxy serves an export as it is, to the real client.
def test_slapproxy_serves_an_export(start, tmp_path):
    stack = start()
    data, key = os.urandom(5000), new_key()
    client_of(stack).upload(io.BytesIO(data), key, n=1)
    export(stack, tmp_path / "out", "--key-prefix", key[:-1])
    assert len(os.listdir(tmp_path / "out/shacache")) == 1
    slapproxy = SlapproxyCache(tmp_path / "slapproxy")
    slapproxy.content.rmdir(), slapproxy.metadata.rmdir()
    (tmp_path / "out/shacache").rename(slapproxy.content)
    (tmp_path / "out/shadir").rename(slapproxy.metadata)
    with slapproxy:
        client = slapproxy.client(stack)
        assert [client.download(entry["sha512"]).read() for entry in selected(client, key)] == [data]


# Export.copy: a damaged file isn't passed on; what was withdrawn since goes.
def test_an_export_is_whole_and_goes_on(start, tmp_path):
    stack = start()
    directory = tmp_path / "out"
    good, bad, cut = (stack.upload(os.urandom(3000)) for _ in range(3))
    file = stack.blob_file(bad)
    file.chmod(0o640)
    with open(file, "r+b") as opened:
        opened.write(b"flipped")
    stack.blob_file(cut).unlink()
    stack.index("k", metadata_of(good))
    stack.index("k", metadata_of(bad))
    summary, done = export(stack, directory, check=False)
    assert done.returncode == 1 and summary["damaged"] == 2, done
    assert f"damaged: blob {bad}: its file has other bytes than its name says" in done.stderr
    assert f"damaged: blob {cut}: its file can't be opened" in done.stderr
    files = set(os.listdir(directory / "shacache"))
    assert good in files and not files & {bad, cut}
    # As a killed export, or the power, leaves it; and what an earlier one has that is gone here.
    (directory / "partial").mkdir()
    (directory / "partial/7").write_bytes(b"half")
    (directory / "shacache" / good).unlink()
    (directory / "shacache" / good).write_bytes(b"half")
    (directory / "shadir/k").write_text("[]")
    other = next(iter(files - {good}))
    stack.admin("blob", "withdraw", other, "--reason", "test")
    summary, done = export(stack, directory, check=False)
    assert (summary["blobs"], summary["keys"], summary["removed"], summary["damaged"]) == (1, 1, 1, 2), done
    assert sha512((directory / "shacache" / good).read_bytes()) == good
    assert (directory / "shadir/k").read_bytes() == stack.request("GET", "/shadir/k")[2]
    assert set(os.listdir(directory / "shacache")) == files - {other} and not (directory / "partial").exists()


# Memory


def most_resident_of(*words):
    """The most memory that a run of shacache-admin had, in bytes, as far as it was looked at; it ends well."""
    most = 0
    with subprocess.Popen([ADMIN, *words], stderr=subprocess.DEVNULL) as running:
        while running.poll() is None:
            try:
                most = max(most, most_resident(running.pid))
            except (OSError, TypeError):
                pass  # ended meanwhile
            time.sleep(0.02)
    assert running.returncode == 0
    return most


# Fails when a file, a directory or a list of files is held in memory.
@pytest.mark.quiet
def test_memory_is_flat(start, slapproxy, tmp_path):
    stack = start()
    large = os.urandom(150 << 20)
    slapproxy.add(large, digest := sha512(large))
    key = new_key()
    slapproxy.add(key=key, pairs=[[metadata_of(digest, x="x" * 1000, n=n), ""] for n in range(400)])
    fill(slapproxy, stack, 1000)
    config = ["--config", stack.state / "shacache.toml"]
    brought = most_resident_of(
        "import", "slapproxy", slapproxy.content, "--metadata", slapproxy.metadata, "--account", "demo", *config)
    took = most_resident_of("export", tmp_path / "out", *config)
    print(f"resident at most: import {brought / (1 << 20):.1f} MiB, export {took / (1 << 20):.1f} MiB")
    assert 0 < brought <= 64 << 20 and 0 < took <= 64 << 20
