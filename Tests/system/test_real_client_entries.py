"""Entries, as the deployed client must find them: byte for byte, none that blinds it, each once, and not too many."""

import io
import json
import os
from base64 import encodebytes
from concurrent.futures import ThreadPoolExecutor

import pytest
from certificates import openssl, self_signed
from deployed import client_of, metadata_of, new_key, put, selected, sign
from stack import Stack
from wire import Wire

# What is sealed by a signature comes back byte for byte

ODD = {
    "NaN": '{{"sha512": "{0}", "n": NaN}}',
    "infinities": '{{"sha512": "{0}", "n": [Infinity, -Infinity, 1e999, -0, 1E+2]}}',
    "spaces": ' \t{{\n "sha512"  :"{0}" ,\r\n"x":[ ] }} \n',
    "unicode": '{{"sha512": "{0}", "é": "日本 🐻 \u2028 e\u0301 \ufeff \x7f"}}',
    "escapes": '{{"sha512": "{0}", "x": "\\u00e9\\ud83d\\udc3b\\/\\b\\"\\\\\\n"}}',
    "an escaped NUL": '{{"sha512": "{0}", "x\\u0000": "\\u0000"}}',
    "repeated names": '{{"sha512": "x", "sha512": "{0}", "a": 1, "a": 2}}',
    "an escaped name": '{{"sha51\\u0032": "{0}"}}',
    "an uppercase hash": '{{"sha512": "{1}"}}',
    "large numbers": '{{"sha512": "{0}", "n": 123456789012345678901234567890, "f": 0.1000000000000000055511151231}}',
    "deep": '{{"sha512": "{0}", "d": ' + "[" * 400 + "]" * 400 + "}}",
    "odd types": '{{"sha512": "{0}", "os": [1, null], "url": {{}}, "software_url": 7, "multiarch": true}}',
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "as it is"])
def test_metadata_comes_back_byte_for_byte_and_verifies(stack, text, escaped):
    digest = stack.upload(b"odd metadata")
    metadata, key = text.format(digest, digest.upper()), new_key()
    pair = [metadata, sign(stack, metadata)]
    answer = put(stack, key, json.dumps(pair, ensure_ascii=escaped).encode())
    assert answer.status == 201, answer
    assert stack.entries(key) == [pair]
    (found,) = selected(client_of(stack), key)
    assert found["sha512"].lower() == digest
    assert client_of(stack).download(found["sha512"].lower()).read() == b"odd metadata"


# RFC 2045's line length, as the client before 0.10 sent it.
def test_base64_in_lines_is_taken_kept_and_verifies(stack, tmp_path):
    certificate, signing_key = self_signed(tmp_path, "signature")
    key, metadata = new_key(), metadata_of()
    signature = encodebytes(openssl("dgst", "-sha1", "-sign", signing_key, input=metadata.encode())).decode()
    assert signature.count("\n") > 2
    stack.index(key, metadata, signature)
    assert stack.entries(key) == [[metadata, signature]]
    assert len(selected(client_of(stack, certificate, signing_key), key)) == 1


# Each of these, once stored, would make the client lose all entries of the key, or fail.
POISON = {
    "no JSON": (b"nonsense", "not JSON"),
    "nothing": (b"", "not JSON"),
    "an object": (b'{"a": "b"}', "list of exactly two strings"),
    "one string": (b'["{}"]', "list of exactly two strings"),
    "three strings": (b'["%s", "", ""]', "list of exactly two strings"),
    "a list in it": (b'[["%s"], ""]', "list of exactly two strings"),
    "no signature": (b'["%s", null]', "list of exactly two strings"),
    "a number for a signature": (b'["%s", 1]', "list of exactly two strings"),
    "metadata that is an object": (b'[{"sha512": "%h"}, ""]', "list of exactly two strings"),
    "two documents": (b'["%s", ""]["%s", ""]', "not JSON"),
    "a comma too many": (b'["%s", "",]', "not JSON"),
    "a byte order mark": (b'\xef\xbb\xbf["%s", ""]', "not JSON"),
    "UTF-16": ('["{}", ""]'.encode("utf-16"), "not JSON"),
    "single quotes": (b"['%s', '']", "not JSON"),
    "invalid UTF-8": (b'["%s\xff", ""]', "UTF-8"),
    "an overlong NUL": (b'["%s\xc0\x80", ""]', "UTF-8"),
    "an encoded surrogate": (b'["%s\xed\xa0\x80", ""]', "UTF-8"),
    "a control character": (b'["%s\x01", ""]', "not JSON"),
    "a line break in a string": (b'["%s\n", ""]', "not JSON"),
    "metadata that is a list": (b'["[]", ""]', "not a JSON object"),
    "metadata that is a string": (b'["\\"%h\\"", ""]', "not a JSON object"),
    "metadata that is null": (b'["null", ""]', "not a JSON object"),
    "metadata that is no JSON": (b'["nonsense", ""]', "metadata is not JSON"),
    "metadata that is empty": (b'["", ""]', "metadata is not JSON"),
    "metadata with a byte order mark": (b'["\\ufeff%s", ""]', "metadata is not JSON"),
    "metadata with something behind": (b'["%s x", ""]', "metadata is not JSON"),
    "metadata with a comma too many": (b'["{\\"sha512\\": \\"%h\\",}", ""]', "metadata is not JSON"),
    "a NUL in the metadata": (b'["%s\\u0000", ""]', "NUL"),
    "a lone surrogate": (b'["{\\"sha512\\": \\"%h\\", \\"x\\": \\"\\ud800\\"}", ""]', "surrogate"),
    "a lone second surrogate": (b'["{\\"sha512\\": \\"%h\\", \\"x\\": \\"\\udc00\\"}", ""]', "surrogate"),
    "surrogates in the wrong order": (b'["{\\"sha512\\": \\"%h\\", \\"x\\": \\"\\udc00\\ud800\\"}", ""]', "surrogate"),
    "no hash": (b'["{}", ""]', "no sha512"),
    "a hash by another name": (b'["{\\"SHA512\\": \\"%h\\"}", ""]', "no sha512"),
    "half a hash": (b'["{\\"sha512\\": \\"0123\\"}", ""]', "128 hexadecimal digits"),
    "a hash of letters": (b'["{\\"sha512\\": \\"' + b"g" * 128 + b'\\"}", ""]', "128 hexadecimal digits"),
    "a hash too long": (b'["{\\"sha512\\": \\"%h0\\"}", ""]', "128 hexadecimal digits"),
    "a hash that is null": (b'["{\\"sha512\\": null}", ""]', "128 hexadecimal digits"),
    "a hash that is replaced": (b'["{\\"sha512\\": \\"%h\\", \\"sha512\\": 1}", ""]', "128 hexadecimal digits"),
    "base64 without padding": (b'["%s", "AAA"]', "base64"),
    "base64 with half its padding": (b'["%s", "AA="]', "base64"),
    "base64 with padding inside": (b'["%s", "AA==AAAA"]', "base64"),
    "base64 that is padding alone": (b'["%s", "===="]', "base64"),
    "base64 that is a line break alone": (b'["%s", "\\n"]', "base64"),
    "base64 for URLs": (b'["%s", "-_-_"]', "base64"),
    "base64 with strangers": (b'["%s", "AA A"]', "base64"),
    "base64 in another alphabet": (b'["%s", "\\u0430AAA"]', "base64"),
}


# Entry.init. Each is tried on a key that has a good entry, which must stay readable.
@pytest.mark.parametrize("body, words", POISON.values(), ids=POISON)
def test_a_pair_that_would_blind_the_key_is_refused_and_the_key_stays_readable(stack, body, words):
    key, metadata = new_key(), metadata_of()
    stack.index(key, metadata, sign(stack, metadata))
    body = body.replace(b"%s", metadata.replace('"', '\\"').encode()).replace(b"%h", b"0" * 128)
    answer = put(stack, key, body)
    assert answer.status == 400 and words in answer.line, answer
    assert selected(client_of(stack), key) == [json.loads(metadata)]
    assert len(stack.entries(key)) == 1


# One key, many entries


def test_entries_come_oldest_first(stack):
    key = new_key()
    for number in range(20):
        stack.index(key, metadata_of(n=number))
    assert [json.loads(metadata)["n"] for metadata, _ in stack.entries(key)] == list(range(20))


# CONSTRAINT entry_is_once_under_its_key, and the advisory lock in Entries.storeAlone.
def test_the_same_pair_stands_once_however_often_and_at_once_it_is_sent(stack):
    key, metadata = new_key(), metadata_of()
    body = json.dumps([metadata, sign(stack, metadata)]).encode()
    context = stack.tls()

    def send(_):
        with Wire(stack, context) as wire:
            return [wire.request("PUT", f"/shadir/{key}", body).status for _ in range(4)]

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(send, range(16)), []) == [201] * 64
    assert stack.entries(key) == [json.loads(body)]
    # Another signature of the same metadata is another pair.
    stack.index(key, metadata)
    assert len(stack.entries(key)) == 2
    # The same pair under another key is that key's own.
    put(stack, key + "x", body)
    assert stack.entries(key + "x") == [json.loads(body)]


@pytest.fixture(scope="module")
def ruled(tmp_path_factory):
    """A cache whose rules the tests change."""
    with Stack(tmp_path_factory.mktemp("ruled")) as stack:
        yield stack


def test_a_key_and_an_account_under_it_may_have_so_many_entries(ruled, tmp_path):
    ruled.configure("[uploads]\nentries-per-key = 5\nentries-per-key-and-account = 3\n")
    ruled.admin("account", "add", "second")
    ruled.admin("certificate", "issue", "second", "--out", tmp_path)
    contexts = [ruled.tls(), ruled.tls(tmp_path / "second.crt", tmp_path / "second.key")]
    key = new_key()

    def send(number, context):
        return ruled.request("PUT", f"/shadir/{key}", json.dumps([metadata_of(n=number), ""]), context=context)

    assert [send(number, contexts[0])[0] for number in range(4)] == [201, 201, 201, 403]
    assert b"this account" in send(3, contexts[0])[2]
    # What stands there already is no more.
    assert send(0, contexts[0])[0] == 201
    assert [send(number, contexts[1])[0] for number in range(4, 7)] == [201, 201, 403]
    assert b"the key has 5 entries" in send(6, contexts[1])[2]
    assert len(ruled.entries(key)) == 5


# The lock in Entries.storeAlone: those who count must not count at once.
def test_the_limit_of_a_key_holds_when_many_come_at_once(ruled):
    ruled.configure("[uploads]\nentries-per-key = 5\n")
    key, context = new_key(), ruled.tls()

    def send(number):
        return ruled.request("PUT", f"/shadir/{key}", json.dumps([metadata_of(n=number), ""]), context=context)[0]

    with ThreadPoolExecutor(16) as threads:
        assert sorted(threads.map(send, range(32))) == [201] * 5 + [403] * 27
    assert len(ruled.entries(key)) == 5


def test_the_entries_of_a_key_may_have_so_many_bytes(ruled):
    ruled.configure("[uploads]\nbytes-per-key = 1000\n")
    key = new_key()
    first, second = metadata_of(x="x" * 300), metadata_of(x="y" * 700)
    ruled.index(key, first)
    status, _, body = ruled.request("PUT", f"/shadir/{key}", json.dumps([second, ""]), context=ruled.tls())
    assert status == 403 and f"{len(first) + len(second)} bytes".encode() in body
    assert ruled.entries(key) == [[first, ""]]


# SignaturePolicy.checkResult.
def test_the_policy_require_takes_entries_of_registered_signers_alone(ruled, tmp_path):
    certificate, signing_key = self_signed(tmp_path, "signature", "RSA:1024")
    ruled.configure('[uploads]\nsignatures = "require"\n')
    key, text = new_key(), metadata_of()

    def send(signature):
        status, _, body = ruled.request("PUT", f"/shadir/{key}", json.dumps([text, signature]), context=ruled.tls())
        return status, body.decode()

    theirs = sign(ruled, text, signing_key)
    assert send("") == (403, "this server takes signed entries only, and this one has no signature: set signature-private-key-file\n")
    unknown = (403, "this server takes entries of registered signers only, and none of them made this signature: "
               "ask the operator to add your signature certificate\n")
    assert send(theirs) == unknown
    assert send(sign(ruled, text + " ")) == unknown
    assert ruled.entries(key) is None
    # What `make run` made works with it.
    client_of(ruled).upload(io.BytesIO(b"required"), key, file="a")
    assert send(sign(ruled, text))[0] == send(sign(ruled, text, digest="sha256"))[0] == 201
    ruled.admin("signer", "add", "required", certificate)
    assert send(theirs)[0] == 201
    ruled.admin("signer", "revoke", "required")
    assert send(sign(ruled, text, signing_key, "sha256")) == unknown
    assert len(ruled.entries(key)) == 4
    # Blobs are not signed.
    ruled.upload(os.urandom(20))
