"""Asking for an account: shacache account, /-/account-request, shacache-admin request; off by default."""

import configparser
import json
import os
import ssl
from concurrent.futures import ThreadPoolExecutor

import processes
import pytest
from administration import assert_refused, listed, name, run
from certificates import make_key, make_request, openssl
from exposition import scrape
from node import DONE, FAILED, MISSING, MISUSE, UNREACHABLE, Node, assert_ended
from stack import Database, Stack, eventually
from test_database_away import stopped_database, wait_for_database

PATH = "/-/account-request"
ENABLED = "[account-requests]\nenabled = true\n"


class Asked(Stack):
    """A cache that takes requests for accounts, and believes a request that says in X-Test-Address where it comes from."""

    def open(self, more=""):
        site = self.state / "nginx/site.conf"
        trust = "set_real_ip_from 127.0.0.1; set_real_ip_from ::1; real_ip_header X-Test-Address;"
        site.write_text(f"{trust}\n{site.read_text()}")
        self.reload_nginx()
        self.configure(ENABLED + more)
        processes.send(self, "page")
        eventually(lambda: self.request("GET", "/")[0] == 200)

    def ask(self, body, address=None, headers=None, method="POST", target=PATH):
        headers = {**({"X-Test-Address": address} if address else {}), **(headers or {})}
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        return self.request(method, target, data, headers, context=self.tls(certificate=False))

    def requests(self, *words):
        return listed(self, "request", "list", *words)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    with Asked(tmp_path_factory.mktemp("asked"), WORKERS="1") as stack:
        stack.open("waiting = 200\nper-address = 100\n")
        yield stack


class Applicant(Node):
    """A machine that has no account, and no configuration."""

    def __init__(self, stack, directory):
        super().__init__(directory, {})
        self.config.unlink()
        self.server = [
            "--server", f"https://localhost:{stack.settings['HTTPS_PORT']}/shacache", "-O", f"shacache-ca-file={stack.env['CA_FILE']}"]
        self.name = name()
        self.key, self.certificate = (self.directory / f"ssl/shacache.{what}" for what in ("key", "crt"))

    def command(self, *words, config=True):
        if words[0] != "account":
            return super().command(*words, config=config)
        command = super().command(*words, config=False)
        return [*command[:3], "--config", str(self.config), *self.server, *command[3:]]

    def ask(self, *words, **options):
        return self.run("account", "request", "--name", self.name, "--contact", f"{self.name}@example.org", *words, **options)

    def fetch(self, *words, **options):
        return self.run("account", "fetch", *words, **options)

    def written(self):
        """As slapgrid reads them."""
        parser = configparser.ConfigParser()
        parser.read(self.config)
        return dict(parser["networkcache"])


@pytest.fixture
def applicant(asked, tmp_path):
    return Applicant(asked, tmp_path / "machine")


def number_of(stack, asker):
    [number] = [row["number"] for row in stack.requests() if row["name"] == asker]
    return str(number)


def signing_request(directory, kind="EC"):
    make_key(key := directory / f"{os.urandom(4).hex()}.key", kind)
    make_request(request := key.with_suffix(".csr"), key, "root")
    return request.read_text()


def body(directory, kind="EC", **changes):
    return {"name": name(), "contact": "c", "request": signing_request(directory, kind), **changes}


def key_of(request, directory):
    """The SHA-256 of its public key."""
    der = openssl("req", "-pubkey", "-noout", input=request.encode())
    (file := directory / "public.pem").write_bytes(der)
    der = openssl("pkey", "-pubin", "-in", file, "-outform", "DER")
    return openssl("dgst", "-sha256", "-r", input=der)[:64].decode()


def audit(stack, subject):
    return [tuple(row) for row in Database(stack).run(
        f"SELECT actor, action, detail FROM shacache.audit WHERE subject = '{subject}' ORDER BY id")]


def test_who_asks_gets_an_account_and_uploads(asked, applicant):
    asking = assert_ended(applicant.ask(), DONE, "shacache account fetch gets the certificate")
    [request] = [row for row in asked.requests() if row["name"] == applicant.name]
    assert asking.stdout.decode().splitlines()[-1] == f"key {request['key']}"
    assert (request["contact"], request["client_address"], request["account"], request["state"]) == (
        f"{applicant.name}@example.org", "127.0.0.1", "new", "waiting")
    assert applicant.key.stat().st_mode & 0o777 == 0o600 and not applicant.config.exists()
    key = applicant.key.read_bytes()
    # Again, and too early, it changes nothing.
    assert_ended(applicant.ask(), DONE)
    assert_ended(applicant.fetch(), MISSING, "shacache account fetch gets the certificate")
    assert applicant.json("account", "fetch", status=MISSING) == {
        "state": "waiting", "number": request["number"], "key": request["key"]}
    asked.admin("request", "approve", str(request["number"]), "--role", "blobs", "--role", "entries", "--bytes-limit", "1M")
    assert applicant.name not in [row["name"] for row in asked.requests()]
    assert_ended(applicant.fetch(), DONE)
    # The name is the one that was asked for, whatever the request's own subject is, and the key is its owner's.
    assert openssl("x509", "-in", applicant.certificate, "-noout", "-subject") == f"subject=CN = {applicant.name}\n".encode()
    assert applicant.key.read_bytes() == key
    options, https = applicant.written(), applicant.server[1].removesuffix("/shacache")
    assert (options["shadir-key-file"], options["shacache-cert-file"]) == (str(applicant.key), str(applicant.certificate))
    assert (options["upload-binary-dir-url"], options["shacache-ca-file"]) == (f"{https}/shadir", asked.env["CA_FILE"])
    # Once more by either command, and nothing has changed.
    written = applicant.config.read_text()
    assert_ended(applicant.fetch(), DONE)
    assert_ended(applicant.ask(), DONE)
    assert applicant.config.read_text() == written and applicant.key.read_bytes() == key
    made = applicant.run("generate-signature-key", "signature.key", applicant.name, config=False)
    with open(applicant.config, "a") as file:
        file.write(f"signature-private-key-file = {applicant.directory}/signature.key\n{made.stdout.decode()}")
    assert_ended(applicant.run("doctor"), DONE)
    [account] = [row for row in listed(asked, "account", "list") if row["name"] == applicant.name]
    assert (account["bytes_limit"], account["roles"], account["comment"]) == (1 << 20, "blobs,entries", f"{applicant.name}@example.org")
    actions = audit(asked, applicant.name)
    assert [action for _, action, _ in actions] == [
        "account request", "account add", "certificate add", "account request approve"]
    assert actions[0][0] == "client:127.0.0.1" and request["key"] in actions[0][2]


# AccountServerOptions.perform.
def test_who_waits_has_it_as_soon_as_it_is_approved(asked, applicant):
    waiting = applicant.start("account", "request", "--name", applicant.name, "--contact", "c", "--wait", "60")
    number = eventually(lambda: [row["number"] for row in asked.requests() if row["name"] == applicant.name])[0]
    asked.admin("request", "approve", str(number))
    assert waiting.wait(60) == DONE and applicant.certificate.exists()


def test_who_is_refused_is_told_why(asked, applicant):
    assert_ended(applicant.ask(), DONE)
    number = number_of(asked, applicant.name)
    asked.admin("request", "refuse", number, "--reason", "ask with your work address")
    for words in ("request", "--name", applicant.name, "--contact", "c"), ("fetch",):
        assert_ended(applicant.run("account", *words), FAILED, "the request was refused: ask with your work address")
    assert not applicant.certificate.exists() and not applicant.config.exists()
    for words in ("approve", number), ("refuse", number, "--reason", "again"):
        assert_refused(asked.admin("request", *words, check=False), f"request {number} was decided already")
    assert [row["reason"] for row in asked.requests("--all") if row["name"] == applicant.name] == ["ask with your work address"]
    assert [action for _, action, _ in audit(asked, applicant.name)] == ["account request", "account request refuse"]


def test_what_is_set_in_the_configuration_stays(asked, applicant):
    applicant.config.write_text(
        "[slapos]\nsoftware_root = /opt\n[networkcache]\n  # HOWTO\n  download-cache-url = http://near.example.org/c\n"
        "  upload-cache-url =\n  upload_dir_url =\n  shacache-key-file = own/my.key\n[other]\nx = 100%%\n")
    applicant.key = applicant.directory / "own/my.key"
    assert_ended(applicant.ask(), DONE)
    asked.admin("request", "approve", number_of(asked, applicant.name))
    assert_ended(applicant.fetch(), DONE, "download-cache-url was set in the configuration, and stays")
    options = applicant.written()
    assert options["download-cache-url"] == "http://near.example.org/c" and options["shacache-key-file"] == "own/my.key"
    assert options["upload-cache-url"] == applicant.server[1] and options["shadir-key-file"] == str(applicant.key)
    assert applicant.config.read_text().startswith("[slapos]\nsoftware_root = /opt\n[networkcache]\n")
    assert applicant.config.read_text().endswith("[other]\nx = 100%%\n")


def test_neither_a_key_nor_a_certificate_is_overwritten(asked, applicant):
    applicant.key.parent.mkdir()
    applicant.key.write_text("no key")
    assert_ended(applicant.ask(), MISUSE, "name another one with -O shacache-key-file=FILE")
    assert applicant.key.read_text() == "no key"
    applicant.key.unlink()
    assert_ended(applicant.fetch(), MISUSE, "shacache account request makes the key")
    assert_ended(applicant.ask(), DONE)
    asked.admin("request", "approve", number_of(asked, applicant.name))
    applicant.certificate.write_text("another")
    assert_ended(applicant.fetch(), MISUSE, "is another certificate, and is not overwritten")
    assert applicant.certificate.read_text() == "another" and not applicant.config.exists()
    assert sorted(os.listdir(applicant.key.parent)) == ["shacache.crt", "shacache.key"]


@pytest.mark.parametrize("words, says", [
    (["--server", "http://localhost"], "accounts are asked for over HTTPS"),
    (["--name", "Alice"], "the name takes up to 63"), (["--contact", "a\nb"], "the contact takes one line"),
    (["--contact", " "], "the contact takes one line"), (["--wait", "-1"], "--wait")])
def test_what_can_not_be_asked_for_makes_no_key(asked, applicant, words, says):
    assert_ended(applicant.ask(*words), MISUSE, says)
    assert not applicant.key.exists()


def test_without_a_server_it_says_how_to_name_one(applicant):
    applicant.server = []
    assert_ended(applicant.ask(), MISUSE, "say --server https://HOST")


# AccountApplication.take.
def test_a_server_that_answers_something_else_changes_nothing(asked, applicant, tmp_path):
    assert_ended(applicant.ask(), DONE)
    other = Applicant(asked, tmp_path / "other")
    assert_ended(other.ask(), DONE)
    asked.admin("request", "approve", number_of(asked, applicant.name))
    # As if the server answered with a certificate of another key.
    Database(asked).run(f"""
        UPDATE shacache.account_request AS other SET decided_at = now(), fingerprint = asked.fingerprint
        FROM shacache.account_request AS asked WHERE asked.name = '{applicant.name}' AND other.name = '{other.name}'""")
    assert_ended(other.fetch(), UNREACHABLE, "no certificate of this machine's key")
    assert not other.certificate.exists() and not other.config.exists()


def test_a_name_that_is_taken_is_the_operators_decision(asked, applicant, tmp_path):
    asked.admin("account", "add", applicant.name, "--role", "entries")
    assert_ended(applicant.ask(), DONE)
    [row] = [row for row in asked.requests() if row["name"] == applicant.name]
    assert (row["account"], row["valid_certificates"]) == ("exists", 0)
    number = str(row["number"])
    done = asked.admin("request", "approve", number, check=False)
    assert (done.returncode, done.stdout) == (1, "") and "--existing" in done.stderr
    assert asked.admin("request", "approve", number, "--existing", "--role", "blobs", check=False).returncode == 64
    assert_refused(asked.admin("request", "approve", number, "--account", other := name(), "--existing", check=False), other)
    asked.admin("request", "approve", number, "--existing")
    assert_ended(applicant.fetch(), DONE)
    [account] = [row for row in listed(asked, "account", "list") if row["name"] == applicant.name]
    assert (account["roles"], account["valid_certificates"]) == ("entries", 1)
    # Or another name for who is somebody else.
    second = Applicant(asked, tmp_path / "second")
    second.name = applicant.name
    assert_ended(second.ask(), DONE)
    asked.admin("request", "approve", number_of(asked, applicant.name), "--account", other)
    assert json.loads(assert_ended(second.fetch("--json"), DONE).stdout)["account"] == other


def test_a_certificate_that_was_revoked_is_not_handed_out(asked, applicant):
    assert_ended(applicant.ask(), DONE)
    asked.admin("request", "approve", number_of(asked, applicant.name))
    [certificate] = listed(asked, "certificate", "list", applicant.name)
    asked.admin("certificate", "revoke", certificate["fingerprint"])
    assert_ended(applicant.fetch(), FAILED, "its certificate was revoked")


@pytest.mark.parametrize("kind", ["EC", "RSA:2048", "ED25519", "P-384"])
def test_keys_of_these_kinds_are_taken(asked, tmp_path, kind):
    make_key_of(kind, key := tmp_path / "k")
    make_request(request := tmp_path / "r", key, "x")
    assert asked.ask(body(tmp_path, request=request.read_text()))[0] == 202


def make_key_of(kind, path):
    if kind in ("EC", "RSA:2048"):
        return make_key(path, kind)
    words = {"ED25519": ["-algorithm", "ED25519"]}.get(kind, ["-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{kind}"])
    openssl("genpkey", *words, "-out", path)


def broken(request):
    """Its signature is another's."""
    der = bytearray(ssl.PEM_cert_to_DER_cert(request.replace("CERTIFICATE REQUEST", "CERTIFICATE")))
    der[-1] ^= 1
    return ssl.DER_cert_to_PEM_cert(bytes(der)).replace("CERTIFICATE", "CERTIFICATE REQUEST")


def encrypted(request):
    """Of which OpenSSL would ask the passphrase."""
    head, rest = request.split("\n", 1)
    return f"{head}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,{'0' * 32}\n\n{rest}"


def test_what_is_wrong_is_refused_and_leaves_nothing(asked, tmp_path):
    good = body(tmp_path)
    for kind in ("secp256k1", "P-224", "brainpoolP256r1"):
        make_key_of(kind, key := tmp_path / kind)
        make_request(request := tmp_path / f"{kind}.csr", key, "x")
        assert asked.ask({**good, "request": request.read_text()})[0] == 400
    wrong = [
        {"request": broken(good["request"])}, {"request": encrypted(good["request"])}, {"request": ""}, {"request": 1},
        {"request": signing_request(tmp_path, "RSA:1024")}, {"request": good["request"].replace("-----BEGIN", "----BEGIN")},
        {"name": "Alice"}, {"name": ""}, {"name": "a" * 64}, {"name": "a\0"}, {"name": "../a"}, {"name": None},
        {"contact": ""}, {"contact": "a\nb"}, {"contact": "\0"}, {"contact": "é" * 501}, {"contact": "\ud800"}, {"contact": []}]
    for changes in wrong:
        status, headers, answer = asked.ask({**good, **changes})
        assert (status, headers["cache-control"]) == (400, "no-store") and answer.count(b"\n") == 1, (changes, answer)
    for text in (b"", b"[]", b"{", b"{}", b"\xff", b"x" * 19_999, b"[" * 19_999):
        assert asked.ask(text)[0] == 400
    assert asked.ask(b"x" * 20_000)[0] == 413
    assert asked.ask(iter([b"x" * 10_000] * 4))[0] == 413
    assert good["name"] not in str(asked.requests("--all"))
    # And the good one is taken, whatever else it holds.
    assert asked.ask({**good, "more": 1, "contact": "é" * 500})[0] == 202
    assert asked.ask({**good, "name": name()})[::2] == (
        409, f"this key was sent with a request for the name {good['name']}: make another key\n".encode())


def test_what_became_of_it_is_asked_by_the_keys_hash(asked, tmp_path):
    asked.ask(sent := body(tmp_path))
    key = key_of(sent["request"], tmp_path)
    answer = asked.ask(None, method="GET", target=f"{PATH}/{key}")
    assert (answer[0], answer[1]["content-type"], json.loads(answer[2])["state"]) == (202, "application/json", "waiting")
    assert asked.ask(None, method="HEAD", target=f"{PATH}/{key}")[::2] == (202, b"")
    for target in f"{PATH}/{'0' * 64}", f"{PATH}/{key[:-1]}", f"{PATH}/{key}/", PATH, f"{PATH}s":
        assert asked.ask(None, method="GET", target=target)[0] == 404
    for method in "PUT", "DELETE":
        assert asked.ask(b"", method=method, target=f"{PATH}/{key}")[0] in (403, 404)
    # Below the directory's mount it is a key like others.
    assert asked.ask(None, method="GET", target=f"{PATH}/{key}", headers={"Host": "shadir.localhost"})[2] != answer[2]


def test_over_plain_http_nobody_asks(asked, tmp_path):
    sent = json.dumps(body(tmp_path)).encode()
    assert asked.request("POST", PATH, sent)[::2] == (403, b"requests for accounts are taken over HTTPS alone\n")
    assert asked.request("GET", f"{PATH}/{'0' * 64}")[0] == 403


def test_it_is_off_by_default(closed, tmp_path):
    context = closed.tls(certificate=False)
    for method, target, sent in ("POST", PATH, json.dumps(body(tmp_path)).encode()), ("GET", f"{PATH}/{'0' * 64}", None):
        status, _, answer = closed.request(method, target, sent, context=context)
        assert (status, answer) == (404, b"this server takes no requests for accounts: ask its operator for one\n")
    asker = Applicant(closed, tmp_path / "machine")
    assert_ended(asker.ask(), MISSING, "this server takes no requests for accounts")
    assert "account request" not in closed.request("GET", "/")[2].decode()


# account-requests.conf and http.conf; AccountRequests.checkRoom is in AccountRequestTests.
def test_one_address_can_not_ask_for_ever(asked, tmp_path):
    sent = body(tmp_path)
    with ThreadPoolExecutor(8) as clients:
        statuses = list(clients.map(lambda _: asked.ask(sent, "192.0.2.77")[0], range(20)))
        assert set(statuses) == {202, 429} and 10 <= statuses.count(202) <= 12
        asking = [f"2001:db8:7::{number:x}" for number in range(20)]
        assert 429 in set(clients.map(lambda address: asked.ask(sent, address)[0], asking))
    assert asked.ask(sent, "192.0.2.78")[0] == 202
    assert asked.request("GET", "/shadir/make-run:round-trip", headers={"X-Test-Address": "192.0.2.77"})[0] == 200


def test_a_full_list_takes_no_more_and_says_so(start, tmp_path):
    stack = start(WORKERS="1")
    stack.configure(f"{ENABLED}waiting = 3\nper-address = 2\n")

    def ask(sent):
        return stack.request("POST", PATH, json.dumps(sent).encode(), context=stack.tls(certificate=False))

    first = body(tmp_path)
    assert [ask(sent)[0] for sent in (first, body(tmp_path), first)] == [202] * 3
    status, headers, answer = ask(body(tmp_path))
    assert (status, headers["Retry-After"], answer) == (
        429, "86400", b"too many requests for accounts came from this address, try again tomorrow\n")
    assert_ended(Applicant(stack, tmp_path / "machine").ask(), UNREACHABLE, "try again tomorrow")
    stack.configure(f"{ENABLED}waiting = 2\nper-address = 9\n")
    assert ask(body(tmp_path))[::2] == (503, b"too many requests for accounts wait for the operator, try again another day\n")
    shown = scrape(stack)
    assert "account requests waiting: 2\n" in stack.admin("status").stdout
    assert (shown.value("shacache_account_requests_waiting"), shown.value("shacache_account_requests_limit")) == (2, 2)
    assert shown.sum("shacache_requests_total", route="account request", status="503") == 1
    # Its time is over.
    Database(stack).run("UPDATE shacache.account_request SET created_at = created_at - interval '31 days'")
    stack.admin("maintain")
    assert listed(stack, "request", "list") == []
    assert [row[:2] for row in audit(stack, first["name"])][-1] == ("maintain", "account request expire")
    assert ask(first)[0] == 202


def test_while_the_database_is_away_it_says_so(start, tmp_path):
    stack = start(WORKERS="1")
    stack.configure(ENABLED)
    asker = Applicant(stack, tmp_path / "machine")
    with stopped_database(stack):
        assert_ended(asker.ask("--retries", "0"), UNREACHABLE, "the database is away, try again")
    wait_for_database(stack)
    key = asker.key.read_bytes()
    assert_ended(asker.ask(), DONE)
    assert asker.key.read_bytes() == key and len(listed(stack, "request", "list")) == 1


def test_the_page_says_how_to_ask_and_tells_operators_who_does(asked, applicant):
    home = asked.request("GET", "/")[2].decode()
    assert f"shacache account request --server https://localhost:{asked.settings['HTTPS_PORT']} --name NAME" in home
    assert_ended(applicant.ask(), DONE)
    asked.admin("account", "set", "demo", "--role", "blobs", "--role", "entries", "--role", "operator")
    shown = asked.request("GET", "/-/page/reports", context=asked.tls())[2].decode()
    assert 'href="/-/page/report/account_requests"' in shown and "for an operator" in shown
    assert applicant.name in asked.request("GET", "/-/page/report/account_requests", context=asked.tls())[2].decode()
    assert asked.request("GET", "/-/page/report/account_requests", context=asked.tls(certificate=False))[0] == 403
    assert applicant.name in asked.admin("report", "account-requests").stdout


@pytest.mark.parametrize("option", ["enabled = 1", "waiting = 0", "per-address = \"5\"", "keep = \"0 days\"", "more = 1"])
def test_a_wrong_option_stops_the_programs(closed, tmp_path, option):
    (file := tmp_path / "shacache.toml").write_text(f"{(closed.state / 'shacache.toml').read_text()}\n[account-requests]\n{option}\n")
    done = run("request", "list", "--config", str(file))
    assert (done.returncode, done.stdout) == (1, "") and option.split(" ")[0] in done.stderr


@pytest.mark.parametrize("words", [
    ("approve", "0"), ("approve", "999999"), ("refuse", "999999", "--reason", "x")])
def test_a_number_that_nothing_has_is_refused(asked, words):
    assert_refused(asked.admin("request", *words, check=False), f"there is no request {words[1]}")


@pytest.mark.parametrize("words", [
    ("approve", "x"), ("approve",), ("refuse", "1"), ("refuse", "1", "--reason", ""), ("refuse", "1", "--reason", "a\nb"),
    ("approve", "1", "--days", "0")])
def test_wrong_words_are_wrong_usage(asked, words):
    assert asked.admin("request", *words, check=False).returncode == 64
