"""What a server says of an upload that it doesn't take: cause and mend, on the first line, and behind the status, which is what the
deployed client shows."""

import hashlib
import json
import os
import re

import pytest
from certificates import make_key, openssl
from deployed import client_of, new_key
from stack import Stack
from uploader import LARGE, Uploader
from wire import Wire


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("lines"), WORKERS="1") as stack:
        yield stack


@pytest.fixture
def stranger(cache, tmp_path):
    """A certificate of nobody's authority."""
    make_key(tmp_path / "key")
    openssl("req", "-x509", "-new", "-key", tmp_path / "key", "-out", tmp_path / "crt", "-days", "5", "-subj", "/CN=x")
    return cache.tls(tmp_path / "crt", tmp_path / "key")


PAIR = json.dumps([json.dumps({"sha512": "0" * 128}), ""]).encode()
NO_CERTIFICATE = (
    403, "an upload needs a client certificate, and none was shown: set {0}-cert-file and {0}-key-file")
PLAIN = (403, "uploads are taken over HTTPS with a client certificate: let the options upload-... begin with https://")

# Whose request, of which body, and what is said.
CASES = {
    "plain HTTP": ("plain", b"x", PLAIN),
    "plain HTTP, large": ("plain", LARGE, PLAIN),
    "plain HTTP, an entry": ("plain", PAIR, PLAIN),
    "no certificate": ("none", b"x", (NO_CERTIFICATE[0], NO_CERTIFICATE[1].format("shacache"))),
    "no certificate, large": ("none", LARGE, (NO_CERTIFICATE[0], NO_CERTIFICATE[1].format("shacache"))),
    "no certificate, an entry": ("none", PAIR, (NO_CERTIFICATE[0], NO_CERTIFICATE[1].format("shadir"))),
    "disabled": ("disabled", b"x", (403, "the account {name} is disabled: ask the operator")),
    "revoked": ("revoked", b"x", (403, "the client certificate of {name} was revoked: ask the operator for one of an account")),
    "no role": ("entries", b"x", (403, "the account {name} may not upload blobs: ask the operator for its role blobs")),
    "too much": ("bytes", b"xxx", (403, "bytes limit: the account {name} may store 2 bytes, has stored 0, and this blob has 3: "
                                        "ask the operator for more")),
    "another's key": ("prefix", PAIR, (403, "the account {name} may put entries only under keys that begin with pypi:")),
    "no JSON": ("account", b"[", (400, "the body is not JSON: a value is missing at byte 1")),
    "no entry": ("account", b"[]", (400, "the body is not a list of exactly two strings")),
}
SETTINGS = {"entries": ["--role", "entries"], "bytes": ["--bytes-limit", "2"], "prefix": ["--key-prefix", "pypi:"]}


# Refusal.swift: `mend`; Service+Identity.swift; nginx/uploads.conf: `@not_admitted`.
@pytest.mark.parametrize("case", CASES)
def test_a_refused_upload_says_what_to_mend(cache, tmp_path, case):
    who, body, (status, line) = CASES[case]
    account = Uploader(cache, tmp_path, *SETTINGS.get(who, []))
    if who == "disabled":
        cache.admin("account", "disable", account.name)
    if who == "revoked":
        (made,) = json.loads(cache.admin("certificate", "list", account.name, "--json").stdout)
        cache.admin("certificate", "revoke", made["fingerprint"])
    context = {"plain": None, "none": cache.tls(certificate=False)}.get(who, cache.tls(account.certificate, account.key))
    is_entry = isinstance(body, bytes) and body.startswith(b"[")
    data = os.urandom(body) if isinstance(body, int) else body
    connection = cache.connect(context)
    connection.request(*(("PUT", f"/shadir/{new_key()}") if is_entry else ("POST", "/shacache")), data)
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    line = line.format(name=account.name)
    assert (answer.status, said) == (status, f"{line}\n")
    # Where nginx answers before the body comes, it has words of its own behind the status.
    is_received = who not in ("plain", "none") and not isinstance(body, int)
    assert answer.reason == (line if is_received else "Forbidden")


# Request.swift: `say`.
def test_words_of_another_language_are_said_as_well_as_can_be(cache, tmp_path):
    account = Uploader(cache, tmp_path)
    context = cache.tls(account.certificate, account.key)
    body = os.urandom(100)
    assert cache.request("POST", "/shacache", body, context=context)[0] == 201
    digest = hashlib.sha512(body).hexdigest()
    cache.admin("blob", "withdraw", digest, "--reason", "retiré: " + "x" * 400)
    connection = cache.connect(context)
    connection.request("POST", "/shacache", body)
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    assert answer.status == 403 and "retiré: x" in said
    assert answer.reason == said.replace("é", "??")[:300]


UNKNOWN = "0" * 128
# By name: method, target, body, and what is said. Some of it by nginx, as it stands in nginx/messages.conf.
MORE = {
    "no such blob": ("GET", f"/shacache/{UNKNOWN}", None, (404, f"no blob has the SHA-512 {UNKNOWN}")),
    "no such key": ("GET", "/shadir/no%20such", None, (404, "nothing is listed under the key no such")),
    "no such place": ("GET", "/elsewhere", None, (404, "nothing is here")),
    "no such place to upload to": ("PUT", "/elsewhere", b"x", (404, "nothing is here")),
    "not by POST": ("POST", "/shadir/key", b"x", (405, "POST is not possible here")),
    "not by PUT, large": ("PUT", "/shacache", bytes(LARGE), (405, "PUT is not possible here")),
    "no length": ("PUT", "/shadir/key", None, (411, "an entry needs a Content-Length")),
    "a large entry": (
        "PUT", "/shadir/key", bytes(LARGE), (413, "an entry may have at most 1048576 bytes: leave something out of its metadata")),
    "a look-up with a body": ("GET", "/shadir/key", b"x", (413, "the body is too large")),
}


# Refusal.swift: `mend` of `entryTooLarge`: no operator can raise the protocol's limit.
@pytest.mark.parametrize("case", MORE)
def test_what_is_not_there_or_not_possible_is_named(cache, case):
    method, target, body, said = MORE[case]
    with Wire(cache, cache.tls()) as wire:
        answer = wire.request(method, target, body)
    assert (answer.status, answer.line) == said


def test_nginx_says_so_too_where_it_answers_itself(cache, stranger):
    status, _, line = cache.request("GET", "/shadir/x", context=stranger)
    assert status == 400
    assert re.fullmatch(rb"the client certificate was refused \(FAILED:[^)]+\): ask the operator for another\n", line)
    status, _, line = cache.request("POST", "/shacache", b"x", context=stranger)
    assert status == 403
    assert re.fullmatch(rb"the client certificate was refused \(FAILED:[^)]+\): ask the operator for one of an account\n", line)


# Request.swift: `say`. slapgrid writes the error into its log, before it sleeps for half an hour.
def test_the_deployed_client_shows_the_line(cache, tmp_path):
    account = Uploader(cache, tmp_path, "--role", "blobs")
    client = client_of(cache, **{"shadir-cert-file": str(account.certificate), "shadir-key-file": str(account.key)})
    with pytest.raises(Exception) as raised:
        client.index(new_key(), sha512="0" * 128)
    assert str(raised.value) == (
        f"HTTP Error 403: the account {account.name} may not upload entries: ask the operator for its role entries")
