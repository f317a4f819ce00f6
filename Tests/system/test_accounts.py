"""Who may upload: a certificate that verifies, belongs to an account, and counts at this very request."""

import hashlib
import os
import ssl
from collections import namedtuple

import pytest
import record
from certificates import Authority, fingerprint, self_signed
from stack import Database, eventually
from wire import Wire

LARGE = 3_000_000  # from a million bytes on, a worker is asked before the body is received

Client = namedtuple("Client", "account certificate key")


@pytest.fixture(scope="module")
def accounts(closed):
    """Makes an account of a name that nobody has: `accounts()`."""
    return lambda: closed.admin("account", "add", name := f"a{os.urandom(4).hex()}") and name


@pytest.fixture
def authority(closed, tmp_path):
    """Our own, in other hands: it signs anything."""
    return Authority(tmp_path, closed.state / "ca/ca.crt", closed.state / "ca/ca.key")


@pytest.fixture
def client(closed, accounts, tmp_path):
    """An account with a certificate, as shacache-admin makes them."""
    account = accounts()
    closed.admin("certificate", "issue", account, "--out", tmp_path)
    return Client(account, tmp_path / f"{account}.crt", tmp_path / f"{account}.key")


def tls(stack, certificate, key, version=None):
    context = stack.tls(certificate=False)
    # Or the client itself would refuse to load what the server must refuse.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(certificate, key)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def post(wire, length=20):
    return wire.request("POST", "/shacache", os.urandom(length))


def ask(stack, context, *request, headers=()):
    with Wire(stack, context) as wire:
        return wire.request(*request, headers=headers) if request else post(wire)


def stored(stack):
    return Database(stack).run("SELECT (SELECT count(*) FROM shacache.blob), (SELECT count(*) FROM shacache.entry)")


# Each makes a client; the account is registered for the certificate unless there is none.
def of_another_authority(authority, tmp_path):
    (tmp_path / "other").mkdir()
    return Authority.create(tmp_path / "other", "Another CA").issue("another")


def self_made(authority, tmp_path):
    return self_signed(tmp_path, "self-made", "EC")


def expired(authority, tmp_path):
    return authority.issue("expired", valid_days=(-10, -5))


def not_yet_valid(authority, tmp_path):
    return authority.issue("early", valid_days=(5, 10))


def for_servers(authority, tmp_path):
    return authority.issue("server", usage="serverAuth")


def of_1024_bits(authority, tmp_path):
    return authority.issue("weak", kind="RSA:1024")


UPLOADS = {
    "small blob": ("POST", "/shacache", b"x" * 20),
    "large blob": ("POST", "/shacache", b"x" * LARGE),
    "entry": ("PUT", "/shadir/refused", b'["{\\"sha512\\": \\"' + b"0" * 128 + b'\\"}", ""]'),
}


def assert_refused(stack, context, upload, words, account=None, certificate=None):
    """Nothing of it is stored, and one row says who was refused and why."""
    marked, before = record.mark(), stored(stack)
    answer = ask(stack, context, *upload, headers=[marked])
    assert answer.status == 403 and words in answer.line, answer
    row = record.row(stack, marked)
    assert (row["outcome"], row["status"], row["reason"]) == ("refused", 403, "not authorized")
    assert (row["account"], row["certificate"]) == (account, certificate)
    assert row["target"] == ("blob" if upload[0] == "POST" else "entry")
    assert stored(stack) == before
    assert not stack.blob_file(hashlib.sha512(upload[2]).hexdigest()).exists()
    eventually(lambda: not list(stack.spool.iterdir()))


# Service.identify: `SUCCESS` and nothing else; tls.conf has nginx verify. Each of these is registered, so that
# nothing but the verification stands between it and an account.
@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
@pytest.mark.parametrize("make", [of_another_authority, self_made, expired, not_yet_valid, for_servers, of_1024_bits])
def test_a_certificate_that_does_not_verify_uploads_nothing(closed, accounts, authority, tmp_path, make, upload):
    certificate, key = make(authority, tmp_path)
    closed.admin("certificate", "register", accounts(), certificate)
    assert_refused(
        closed, tls(closed, certificate, key), upload, "the client certificate was refused (FAILED:",
        certificate=fingerprint(certificate))


@pytest.mark.parametrize("make", [of_another_authority, expired])
def test_a_download_with_a_certificate_that_does_not_verify_is_told_so(closed, authority, tmp_path, make):
    answer = ask(closed, tls(closed, *make(authority, tmp_path)), "GET", "/shadir/absent")
    assert answer.status == 400 and "the client certificate was refused (FAILED:" in answer.line, answer


# local-writers.conf is for those who show none.
def test_an_address_that_may_write_makes_no_refused_certificate_good(stack, tmp_path):
    answer = ask(stack, tls(stack, *self_made(None, tmp_path)))
    assert answer.status == 403 and "FAILED" in answer.line, answer


# $shacache_certificate: in whole it would not fit into a request to a worker, which nginx answers as if none were there.
@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
def test_a_certificate_of_fifty_kilobytes_is_refused_as_any_other(closed, tmp_path, upload):
    names = ",".join(f"DNS:{number:0>50}.example.org" for number in range(700))
    certificate, key = self_signed(tmp_path, "huge", "EC", "-addext", f"subjectAltName={names}")
    assert_refused(closed, tls(closed, certificate, key), upload, "the client certificate was refused (FAILED:")


@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
def test_without_a_certificate_nothing_is_uploaded(closed, upload):
    assert_refused(closed, closed.tls(certificate=False), upload, "needs a client certificate, and none was shown")


@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
def test_over_plain_http_nothing_is_uploaded(closed, upload):
    assert_refused(closed, None, upload, "over HTTPS with a client certificate")


@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
def test_a_certificate_of_our_own_authority_that_nobody_registered_uploads_nothing(closed, authority, upload):
    certificate, key = authority.issue("nobody")
    assert_refused(
        closed, tls(closed, certificate, key), upload, "belongs to no account", certificate=fingerprint(certificate))


@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
def test_a_revoked_certificate_uploads_nothing(closed, client, upload):
    closed.admin("certificate", "revoke", fingerprint(client.certificate))
    assert_refused(
        closed, tls(closed, client.certificate, client.key), upload, f"certificate of {client.account} was revoked",
        client.account, fingerprint(client.certificate))


@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
def test_a_disabled_account_uploads_nothing(closed, client, upload):
    closed.admin("account", "disable", client.account)
    assert_refused(
        closed, tls(closed, client.certificate, client.key), upload, f"the account {client.account} is disabled",
        client.account, fingerprint(client.certificate))


# An extended key usage that is absent allows everything (RFC 5280, 4.2.1.12).
@pytest.mark.parametrize("usage", ["clientAuth", "serverAuth, clientAuth", None])
@pytest.mark.parametrize("kind", ["EC", "RSA:2048"])
def test_a_certificate_that_verifies_and_is_registered_uploads(closed, accounts, authority, kind, usage):
    certificate, key = authority.issue("good", kind, usage=usage)
    closed.admin("certificate", "register", accounts(), certificate)
    assert ask(closed, closed.tls(certificate, key)).status == 201


# Identities.status asks the database at every request.
@pytest.mark.parametrize("length", [20, LARGE])
def test_revoking_works_on_the_next_request_of_a_kept_alive_connection(closed, client, length):
    with Wire(closed, tls(closed, client.certificate, client.key)) as wire:
        assert post(wire, length).status == 201
        closed.admin("certificate", "revoke", fingerprint(client.certificate))
        for _ in range(2):
            answer = post(wire, length)
            assert answer.status == 403 and "revoked" in answer.line, answer
        assert wire.is_open()


def test_disabling_and_enabling_work_on_the_next_request_of_a_kept_alive_connection(closed, client):
    with Wire(closed, tls(closed, client.certificate, client.key)) as wire:
        for _ in range(2):
            assert post(wire).status == 201
            closed.admin("account", "disable", client.account)
            assert post(wire).status == 403
            closed.admin("account", "enable", client.account)
        assert post(wire).status == 201


def test_disabling_the_account_local_stops_writes_without_a_certificate(stack):
    with Wire(stack) as wire:
        assert post(wire).status == 201
        stack.admin("account", "disable", "local")
        try:
            answer = post(wire)
            assert answer.status == 403 and "local" in answer.line, answer
        finally:
            stack.admin("account", "enable", "local")
        assert post(wire).status == 201


# A resumed session brings the certificate that nginx verified once; only the database knows what became of it.
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_revoking_works_on_a_resumed_tls_session(closed, client, version):
    context = tls(closed, client.certificate, client.key, version)
    session = None
    for status in 201, 201, 403:
        with Wire(closed, context, session=session) as wire:
            assert wire.socket.session_reused == (session is not None)
            if status == 403:
                closed.admin("certificate", "revoke", fingerprint(client.certificate))
            assert post(wire).status == status
            session = wire.socket.session


def test_an_account_has_two_valid_certificates_while_one_replaces_the_other(closed, client, tmp_path):
    (tmp_path / "next").mkdir()
    closed.admin("certificate", "issue", client.account, "--out", tmp_path / "next")
    old = tls(closed, client.certificate, client.key)
    new = tls(closed, *(tmp_path / "next" / file.name for file in (client.certificate, client.key)))
    assert (ask(closed, old).status, ask(closed, new).status) == (201, 201)
    closed.admin("certificate", "revoke", fingerprint(client.certificate))
    assert (ask(closed, old).status, ask(closed, new).status) == (403, 201)


# nginx must trust the authority, and the database must know the certificate: neither alone is enough.
def test_a_certificate_of_another_authority_is_taken_once_it_is_registered_and_nginx_trusts_its_maker(
    closed, accounts, tmp_path
):
    other = Authority.create(tmp_path, "Another CA")
    registered, unregistered = other.issue("registered"), other.issue("unregistered")
    closed.admin("certificate", "register", accounts(), registered[0])
    assert ask(closed, tls(closed, *registered)).status == 403
    trusted = closed.state / "tls/clients-ca.crt"
    ours = trusted.read_text()
    try:
        trusted.write_text(ours + other.certificate.read_text())
        closed.reload_nginx()
        assert ask(closed, tls(closed, *registered)).status == 201
        answer = ask(closed, tls(closed, *unregistered))
        assert answer.status == 403 and "belongs to no account" in answer.line, answer
        # Our own are trusted as before.
        assert ask(closed, closed.tls()).status == 201
    finally:
        trusted.write_text(ours)
        closed.reload_nginx()
    assert ask(closed, tls(closed, *registered)).status == 403


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_of_tls_are_not_spoken(closed, version):
    context = closed.tls(certificate=False)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with pytest.raises(ssl.SSLError):
        ask(closed, context, "GET", "/-/live")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_downloads_over_tls_need_no_certificate(closed, version):
    digest = closed.upload(b"for everybody")
    context = closed.tls(certificate=False)
    context.minimum_version = context.maximum_version = version
    answer = ask(closed, context, "GET", f"/shacache/{digest}")
    assert (answer.status, answer.body) == (200, b"for everybody")
