"""`shacache lookup`: what stands under a key, as the deployed clients judge it."""

import hashlib
import json
import os
import time

import pytest
from certificates import self_signed
from deployed import client_of, metadata_of, new_key, sign
from node import DONE, MISSING, MISUSE, UNREACHABLE, UNTRUSTED, assert_ended
from slapos.grid.networkcache import download_entry_list, is_compatible, loadJsonEntry, machine_info_tuple
from stack import free_port
from test_client_download import POISONS, pair, published

HERE = machine_info_tuple()


@pytest.fixture
def mixed(stack, tmp_path):
    """A key with entries of every kind; each is dangling or there."""
    _, stranger = self_signed(tmp_path, "stranger")
    key, there = new_key(), stack.upload(os.urandom(1234))
    for digest in there, "0" * 128:
        text = metadata_of(digest, url="https://example.org/a", n=[1, {"two": None}])
        for signature in sign(stack, text), "", sign(stack, text, stranger), sign(stack, text + " "), "AAAA":
            stack.index(key, text, signature)
    return key, there


def test_as_json_it_says_of_each_entry_what_the_deployed_client_says(stack, node, mixed):
    key, there = mixed
    option = node.options.get
    theirs = download_entry_list(
        option("download-cache-url"), option("download-dir-url"), key, None, option("signature-certificate-list"))
    ours = node.json("lookup", "-k", key)
    assert ours["key"] == key
    assert [(row["metadata"], row["trusted"]) for row in ours["entries"]] == [
        (json.loads(text), trusted) for text, trusted in theirs]
    assert sum(row["trusted"] for row in ours["entries"]) == 2
    assert [row["signer"] is not None for row in ours["entries"]] == [trusted for _, trusted in theirs]
    assert {row["reason"] for row in ours["entries"] if not row["trusted"]} == {"unsigned", "no listed certificate verifies it"}
    for row in ours["entries"]:
        assert row["blob"] == (row["sha512"] == there) and row["size"] == (1234 if row["blob"] else None)
        assert row["fits"] is None and (not row["blob"] or abs(time.time() - row["stored"]) < 300)


def test_for_people_it_is_a_table(node, mixed):
    key, there = mixed
    text = assert_ended(node.run("lookup", "-k", key), DONE).stdout.decode()
    first, _, heads, *rows = text.splitlines()
    assert key in first and "10 entries" in first
    for word in "trusted", "signer", "blob", "size", "fits", "sha512":
        assert word in heads.lower()
    rows = [row for row in rows if there[:16] in row or "0" * 16 in row]
    assert len(rows) == 10
    assert sum("dangling" in row for row in rows) == 5 and sum("1.2 KiB" in row for row in rows) == 5
    assert sum("unsigned" in row for row in rows) == 2 and sum(row.strip().startswith("yes") for row in rows) == 2


def test_the_exit_code_says_whether_a_node_can_have_it(stack, node):
    assert_ended(node.run("lookup", "-k", published(stack, b"there")), DONE)
    assert_ended(node.run("lookup", "-k", new_key()), MISSING)
    stack.index(dangling := new_key(), *pair(stack, "0" * 128))
    assert_ended(node.run("lookup", "-k", dangling), MISSING)
    stack.index(unsigned := new_key(), metadata_of(stack.upload(b"there")))
    assert_ended(node.run("lookup", "-k", unsigned), UNTRUSTED)
    for words in [], ["-k", "a", "-s", "b"], ["-k", "a", "-u", "b"]:
        assert_ended(node.run("lookup", *words), MISUSE)
    node.change(download_dir_url=f"http://127.0.0.1:{free_port()}")
    assert_ended(node.run("lookup", "-k", "a", "--retries", "0"), UNREACHABLE)


def test_a_key_whose_entries_have_gone_has_none(deceived, impostor):
    impostor.listings["a"] = []
    assert b"no entries" in assert_ended(deceived.run("lookup", "-k", "a"), MISSING).stdout
    assert deceived.json("lookup", "-k", "a", status=MISSING)["entries"] == []


def test_sources_are_found_by_url_and_by_name_and_version(stack, node):
    url, name = f"https://example.org/{new_key()}", f"n{os.urandom(4).hex()}"
    published(stack, b"1", f"file-urlmd5:{hashlib.md5(url.encode()).hexdigest()}")
    published(stack, b"2", f"pypi:{name}=1.0")
    assert_ended(node.run("lookup", "--url", url), DONE)
    assert_ended(node.run("lookup", "--pypi", f"{name}==1.0"), DONE)


@pytest.mark.parametrize("host, prefix", [("example.org", "slapos"), ("pypi.org", "pypi")])
def test_what_an_older_buildout_listed_is_shown_and_is_3_as_nothing_of_today_gets_it(stack, node, host, prefix):
    # Fails without `older` in found.
    url = f"https://{host}/{new_key()}"
    digits = hashlib.md5(url.encode()).hexdigest()
    older = published(stack, b"older", f"{prefix}-buildout-{digits}", urlmd5=digits)
    done = assert_ended(node.run("lookup", "--url", url), MISSING, f"`shacache download --key {older}`")
    assert f"{older}: 1 entry\n" in done.stdout.decode() and "yes" in done.stdout.decode()
    assert node.json("lookup", "--url", url, status=MISSING)["key"] == older
    assert_ended(node.run("download", "--url", url), MISSING)
    # Today's come first.
    published(stack, b"newer", f"file-urlmd5:{digits}")
    assert node.json("lookup", "--url", url)["key"] == f"file-urlmd5:{digits}"


PLATFORMS = [HERE, ("m68k-linux-gnu", HERE[1]), (HERE[0], ("debian", "1", "")), (HERE[0], ("gentoo", "", ""))]


def test_a_software_release_is_judged_as_slapos_cachelookup_judges(stack, node):
    # Of the directory for binaries, not of that for sources.
    node.change(download_dir_url=f"http://127.0.0.1:{free_port()}", download_cache_url=f"http://127.0.0.1:{free_port()}")
    url = f"https://lab.example.org/{new_key()}/software.cfg"
    key = hashlib.md5(url.encode()).hexdigest()
    for multiarch, os_ in PLATFORMS:
        published(stack, b"release", key, software_url=url, multiarch=multiarch, os=list(os_))
    published(stack, b"release", key, software_url=url, machine="x86_64", os="('debian', '7.0', '')")
    option = node.options.get
    theirs = download_entry_list(
        option("download-binary-cache-url"), option("download-binary-dir-url"), key, None, option("signature-certificate-list"))
    tags = [loadJsonEntry(text) for text, _ in theirs]
    for name in url, key:
        found = node.json("lookup", "-s", name)
        assert found["here"] == {"multiarch": HERE[0], "os": list(HERE[1])}
        rows = found["entries"]
        assert [row["fits"] for row in rows] == [is_compatible(HERE, (tag["multiarch"], tag["os"])) for tag in tags]
    assert [row["fits"] for row in rows] == [True, False, False, False, False]


def test_a_release_that_fits_no_entry_is_3(stack, node):
    url = new_key()
    published(stack, b"release", hashlib.md5(url.encode()).hexdigest(), multiarch="m68k-linux-gnu", os=list(HERE[1]))
    assert_ended(node.run("lookup", "-s", url), MISSING)


@pytest.mark.parametrize("poison", POISONS)
def test_a_poisoned_entry_has_a_row_of_its_own(stack, deceived, impostor, poison):
    good = json.dumps(pair(stack, impostor.has(b"good"))).encode()
    impostor.listings["a"] = b"[" + poison(metadata_of()) + b", " + good + b"]"
    bad, fine = deceived.json("lookup", "-k", "a")["entries"]
    assert bad["trusted"] is False and bad["unreadable"] and fine["trusted"] and fine["blob"]
    assert b"unreadable" in deceived.run("lookup", "-k", "a").stdout
    impostor.listings["a"] = b"[" + poison(metadata_of()) + b"]"
    assert_ended(deceived.run("lookup", "-k", "a"), UNTRUSTED)


def test_what_an_entry_says_cannot_steer_the_terminal(stack, deceived, impostor):
    impostor.listings["a"] = [pair(stack, impostor.has(b"good"), evil="\x1b[2J\r\nforged\x9b1m")]
    output = assert_ended(deceived.run("lookup", "-k", "a"), DONE).stdout.decode()
    assert not any(ord(letter) < 32 and letter != "\n" or 0x7F <= ord(letter) < 0xA0 for letter in output)
    assert not any(line.startswith("forged") for line in output.splitlines())


def test_many_entries_are_asked_for_at_once(stack, deceived, impostor):
    def slowly(handler):
        if handler.command == "HEAD":
            time.sleep(0.2)

    impostor.answer = slowly
    impostor.listings["a"] = [[metadata_of(impostor.has(os.urandom(9))), ""] for _ in range(24)]
    begun = time.monotonic()
    assert_ended(deceived.run("lookup", "-k", "a"), UNTRUSTED)
    assert time.monotonic() - begun < 24 * 0.2 / 2
    assert len(impostor.asked("HEAD")) == 24


def test_the_deployed_client_agrees_on_what_is_trusted(stack, node, mixed):
    key, _ = mixed
    trusted = [row["metadata"] for row in node.json("lookup", "-k", key)["entries"] if row["trusted"]]
    assert trusted == list(client_of(stack).select(key))


# LookupReport.init: no column says why nothing is known to fit.
def test_a_machine_that_cannot_be_known_is_a_warning(stack, node, tmp_path):
    url = f"https://lab.example.org/{new_key()}/software.cfg"
    published(stack, b"x", hashlib.md5(url.encode()).hexdigest(), multiarch=HERE[0], os=list(HERE[1]))
    (tmp_path / "os-release").write_text('ID="debian\n')
    done = node.run("lookup", "-s", url, env={"UNIXCONFDIR": str(tmp_path)})
    assert_ended(done, MISSING, "warning: which entries fit this machine can't be said: ")
    assert b"the closing quotation mark is missing" in done.stderr
    assert b"warning" not in assert_ended(node.run("lookup", "-s", url), DONE).stderr
