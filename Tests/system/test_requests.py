"""The table of requests in Tests/requests.json, sent through nginx. Service's own tests read the same table without
nginx: where the two disagree, the wiring is wrong."""

import hashlib
import json
import re
from contextlib import ExitStack

import pytest
from stack import REPOSITORY, Stack
from wire import Wire

TABLE = json.loads((REPOSITORY / "Tests/requests.json").read_text())


def members(thing, *known):
    """The thing itself, when it has no other members: a misspelt one would check nothing."""
    assert set(thing) <= set(known), f"unknown members {set(thing) - set(known)} in {thing}"
    return thing


members(TABLE, "given", "requests")
GIVEN = members(TABLE["given"], "blob", "entries")
REQUESTS = TABLE["requests"]
BLOB = hashlib.sha512(GIVEN["blob"].encode()).hexdigest()


def filled(text):
    return text.replace("{blob}", BLOB).replace("{BLOB}", BLOB.upper())


class Caches:
    """Caches that hold what is given, by who may write over plain HTTP: nobody, or this machine."""

    def __init__(self, directory, settings):
        self._directory = directory
        self._settings = settings
        self._running = {}
        self._exit = ExitStack()

    def of(self, identity):
        anonymous = "0" if identity == "none" else "1"
        if anonymous not in self._running:
            stack = Stack(self._directory / f"anonymous-{anonymous}", ANONYMOUS=anonymous, **self._settings)
            self._running[anonymous] = self._exit.enter_context(stack)
            stack.upload(GIVEN["blob"].encode())
            for key, pairs in GIVEN["entries"].items():
                for metadata, signature in pairs:
                    stack.index(key, filled(metadata), filled(signature))
        return self._running[anonymous]

    def close(self):
        self._exit.close()


@pytest.fixture(scope="module", params=["accelerated", "direct"])
def caches(request, tmp_path_factory):
    settings = {"DIRECT": "1"} if request.param == "direct" else {}
    caches = Caches(tmp_path_factory.mktemp(request.param), settings)
    yield caches
    caches.close()


def test_every_request_has_a_name_of_its_own():
    names = [request["name"] for request in REQUESTS]
    assert sorted(set(names)) == sorted(names)


# Later requests see what earlier ones stored, as they do without nginx.
@pytest.mark.parametrize("example", REQUESTS, ids=[request["name"] for request in REQUESTS])
def test_through_nginx_it_gets_the_answer_of_the_table(caches, example):
    members(example, "name", "method", "target", "host", "headers", "body", "identity", "only", "status", "answer")
    assert example.get("identity") in (None, "none", "local")
    assert example.get("only") in (None, "nginx")
    headers = {"Host": example.get("host", "localhost"), **example.get("headers", {})}
    body = example.get("body")
    with Wire(caches.of(example.get("identity"))) as wire:
        answer = wire.request(
            example["method"], filled(example["target"]), None if body is None else filled(body).encode(),
            [(name, filled(value)) for name, value in headers.items()])
        assert answer.status == example["status"], answer
        expected = members(example.get("answer", {}), "headers", "body", "line")
        for name, value in expected.get("headers", {}).items():
            assert answer.headers.get(name.lower()) == (value and filled(value)), answer
        if example["method"] != "HEAD":
            if "body" in expected:
                assert answer.body == filled(expected["body"]).encode()
            if "line" in expected:
                assert re.search(filled(expected["line"]), answer.line), answer
        # What follows on the connection is the next answer: the last one was not longer than it said.
        assert answer.headers["connection"] == "keep-alive" and wire.is_open()
