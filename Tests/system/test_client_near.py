"""`shacache download` with a near cache and a far one behind it, and what `shacache doctor` says of both."""

import os

import pytest
from deployed import metadata_of, new_key, sign
from impostor import Impostor, reply
from node import DONE, FAILED, MISSING, MISUSE, UNREACHABLE, UNTRUSTED, Node, assert_ended
from stack import Stack, eventually, free_port
from test_client_download import flipped, leftovers, published


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("far")) as far:
        yield far


@pytest.fixture(scope="module")
def near(tmp_path_factory, far):
    with Stack(tmp_path_factory.mktemp("near"), UPSTREAM=f"http://localhost:{far.settings['HTTP_PORT']}/shacache") as near:
        yield near


def behind(node, *others):
    """The node asks these, one after the other, when its own cache doesn't give what it looks for."""
    urls = [other.url if isinstance(other, Impostor) else f"http://localhost:{other.settings['HTTP_PORT']}" for other in others]
    node.change(
        fallback_download_cache_url="\n".join(f"{url}/shacache" for url in urls),
        fallback_download_dir_url="\n".join(f"{url}/shadir" for url in urls))
    return node


def reading(node, url):
    node.change(download_cache_url=f"{url}/shacache", download_dir_url=f"{url}/shadir")
    return node


@pytest.fixture
def lying(far, impostor, tmp_path):
    """A node whose near cache is an impostor, and whose far one is right."""
    return behind(reading(Node.of(far, tmp_path / "node"), impostor.url), far)


def test_the_near_one_is_asked_first_and_the_far_one_not_at_all(far, near, impostor, tmp_path):
    node, data = behind(Node.of(far, tmp_path / "node"), impostor), os.urandom(5000)
    reading(node, f"http://localhost:{near.settings['HTTP_PORT']}")
    assert_ended(node.run("download", "-k", published(far, data), "-o", "out"), DONE)
    assert (node.directory / "out").read_bytes() == data and impostor.requests == []


# CacheSequence.first.
def test_when_the_near_one_sends_other_bytes_the_far_one_is_asked(far, lying, impostor):
    data = os.urandom(300_000)
    key = published(far, data)
    impostor.listings[key] = far.entries(key)
    digest = impostor.has(data)
    impostor.blobs[digest] = flipped(data)
    done = assert_ended(lying.run("download", "-k", key, "-o", "out"), DONE)
    assert (lying.directory / "out").read_bytes() == data and leftovers(lying.directory) == []
    assert b"sent other bytes" in done.stderr and b"; asks http://localhost:" in done.stderr
    assert lying.run("download", "--sha512", digest).stdout == data


LIES = {
    "nothing": (lambda handler: reply(handler, 404), False),
    "no list": (lambda handler: reply(handler, 200, b"<html>"), True),
    "no trusted entry": (lambda handler: reply(handler, 200, b'[["{}", ""]]'), True),
    "an empty list": (lambda handler: reply(handler, 200, b"[]"), False),
    "refusal": (lambda handler: reply(handler, 403), True),
    "trouble": (lambda handler: reply(handler, 503), True),
}


@pytest.mark.parametrize("kind", LIES)
def test_what_the_near_one_lacks_or_fails_at_comes_from_the_far_one(far, lying, impostor, kind):
    impostor.answer, warns = LIES[kind]
    data = os.urandom(5000)
    done = assert_ended(lying.run("download", "-k", published(far, data), "--retries", "0"), DONE)
    assert done.stdout == data and (b"asks http" in done.stderr) == warns


# Retry.isFollowed.
def test_a_near_one_that_is_away_costs_no_download_and_no_waiting(far, tmp_path):
    node = behind(reading(Node.of(far, tmp_path / "node"), f"http://localhost:{free_port()}"), far)
    data = os.urandom(5000)
    done = assert_ended(node.run("download", "-v", "-k", published(far, data)), DONE)
    assert done.stdout == data and b"asks http" in done.stderr and b"tries again" not in done.stderr
    assert node.run("download", "-k", new_key()).returncode == UNREACHABLE


def test_what_is_cut_off_is_gone_on_with_at_the_far_one(far, lying, impostor):
    data = os.urandom(1_000_000)
    key = published(far, data)
    impostor.listings[key] = far.entries(key)
    digest = impostor.has(data)
    impostor.answer = lambda handler: handler.path.endswith(digest) and reply(handler, 200, data[:400_000], length=len(data))
    assert_ended(lying.run("download", "-k", key, "-o", "out", "--retries", "0"), DONE)
    assert (lying.directory / "out").read_bytes() == data


# The failure that says most.
@pytest.mark.parametrize("kind, status", [("nothing", MISSING), ("no trusted entry", UNTRUSTED), ("refusal", FAILED)])
def test_when_none_has_it_the_exit_code_says_the_most(far, lying, impostor, kind, status):
    impostor.answer = LIES[kind][0]
    assert_ended(lying.run("download", "-k", new_key(), "--retries", "0"), status)


def test_an_origin_comes_behind_all_caches(far, lying, impostor):
    url, data = f"{impostor.url}/a.tar.gz", os.urandom(5000)
    impostor.answer = lambda handler: reply(handler, 200, data) if handler.path == "/a.tar.gz" else reply(handler, 404)
    assert lying.run("download", "--url", url, "--origin", url).stdout == data
    assert far.request("GET", "/-/live")[0] == 200


def test_urls_that_are_no_pairs_are_said_and_nothing_is_asked(far, lying, impostor):
    lying.change(fallback_download_dir_url=None)
    done = lying.run("download", "-k", new_key(), text=True)
    assert done.returncode == MISUSE and "fallback-download-cache-url has 1 URL, and fallback-download-dir-url 0" in done.stderr
    assert impostor.requests == []
    found = lying.json("doctor", "--read-only", status=FAILED)
    assert any(finding["subject"] == "fallback-download-cache-url" and finding["verdict"] == "failed" for finding in found)


# FetchResponder.upstreamHeaders, EndpointChecks.examineUpstreams.
def test_the_doctor_says_of_a_near_cache_whether_its_upstream_answers(far, near, tmp_path):
    node = behind(Node.of(near, tmp_path / "node"), far)

    def said():
        found = node.json("doctor", "--read-only", status=DONE)
        return [(f["verdict"], f["subject"], f["text"]) for f in found if "upstream" in f["text"]]

    assert ("ok", "download-cache-url", "it is a near cache, whose upstream upstream-1 answers") in said()
    assert all(subject != "fallback-download-cache-url" for _, subject, _ in said())
    found = node.json("doctor", "--read-only", status=DONE)
    assert [f["verdict"] for f in found if f["subject"].startswith("fallback-")][:2] == ["ok", "ok"]
    far.stop()
    try:
        behind(node)
        (verdict, subject, text), *_ = eventually(said)
        assert (verdict, subject) == ("warning", "download-cache-url") and "upstream-1 doesn't answer" in text
    finally:
        far.start()
