"""shacache-admin as people and scripts use it: what it prints, what it refuses, and what it writes down."""

import getpass
import json
import os
import re
import shutil
import stat
import subprocess

import pytest
from administration import ADMIN, assert_refused, listed, name, run
from certificates import Authority, fingerprint, make_key, make_request, openssl, self_signed
from stack import REPOSITORY, Database

# Help


def test_programs_say_their_version_which_the_changes_have_too():
    newest = re.search(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    for program in ADMIN, ADMIN.with_name("shacached"), ADMIN.with_name("shacache-page"), ADMIN.with_name("shacache"):
        done = subprocess.run([program, "--version"], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"{newest}\n")


VERBS = {
    (): ["account", "certificate", "signer", "entry", "blob", "withdrawal", "ca", "migrate", "status", "host", "Exit codes"],
    ("account",): ["add", "set", "bundle", "list", "show", "disable", "enable", "recount"],
    ("account", "add"): ["<name>", "--comment", "local", "--role", "--bytes-limit"],
    ("account", "set"): ["<name>", "--role", "--key-prefix", "--any-key", "10G", "powers of 1024", "none", "UTC"],
    ("account", "recount"): ["<name>", "--repair", "Exits with 1"],
    ("account", "bundle"): ["<name>", "--out", "--days", "--csr", "README.txt"],
    ("account", "list"): ["--json"],
    ("account", "show"): ["<name>"],
    ("account", "disable"): ["next request"],
    ("account", "enable"): ["<name>"],
    ("certificate",): ["issue", "sign", "renew", "register", "list", "revoke"],
    ("certificate", "issue"): ["<account>", "--out", "--days", "overwritten"],
    ("certificate", "sign"): ["<account>", "<request>", "--out", "--days"],
    ("certificate", "renew"): ["<certificate>", "--out", "--days", "overwritten"],
    ("certificate", "register"): ["<account>", "<file>", "ssl_client_certificate"],
    ("certificate", "list"): ["<account>", "--json"],
    ("certificate", "revoke"): ["<fingerprint>", "SHA-256"],
    ("signer",): ["add", "list", "revoke"],
    ("signer", "add"): ["<name>", "<file>", "RSA"],
    ("signer", "list"): ["--json"],
    ("signer", "revoke"): ["<name>", "for good", "--since", "UTC"],
    ("entry",): ["list", "withdraw"],
    ("entry", "list"): ["<key>", "--json"],
    ("entry", "withdraw"): ["<number>", "--reason", "All or none"],
    ("blob",): ["withdraw"],
    ("blob", "withdraw"): ["<hash>", "--reason", "404"],
    ("withdrawal",): ["list", "lift"],
    ("withdrawal", "list"): ["--json"],
    ("withdrawal", "lift"): ["<number>", "byte for byte"],
    ("host",): ["forget"],
    ("host", "forget"): ["<name>", "/metrics"],
    ("ca",): ["create"],
    ("ca", "create"): ["--name", "--days", "overwritten"],
    ("migrate",): ["--directory"],
    ("status",): ["--json", "--server-certificate", "21 days"],
}


@pytest.mark.parametrize("verb, words", VERBS.items(), ids=[" ".join(verb) for verb in VERBS])
def test_every_command_explains_itself(verb, words):
    for asked in [*verb, "--help"], ["help", *verb]:
        done = run(*asked)
        assert (done.returncode, done.stderr) == (0, "")
        assert [word for word in words if word not in done.stdout] == []


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["account", "nonsense"],
        ["account", "add"],
        ["account", "add", "-x"],
        ["account", "add", "one", "two"],
        ["account", "list", "--nonsense"],
        ["certificate", "issue", "demo"],
        ["certificate", "issue", "demo", "--out", ".", "--days", "many"],
        ["certificate", "revoke", "abc"],
        ["certificate", "revoke", "not-hexadecimal"],
        ["account", "set", "demo"],
        ["account", "set", "demo", "--role", "king"],
        ["account", "set", "demo", "--role", "none", "--role", "blobs"],
        ["account", "set", "demo", "--any-key", "--key-prefix", "x"],
        ["account", "set", "demo", "--bytes-limit", "10X"],
        ["account", "set", "demo", "--bytes-limit", "99999999T"],
        ["account", "set", "demo", "--blobs-limit=-1"],
        ["account", "set", "demo", "--blobs-limit", "1K"],
        ["signer", "add", "demo"],
        ["signer", "revoke", "demo", "--since", "yesterday"],
        ["signer", "revoke", "demo", "--since", "2999-01-01"],
        ["entry", "withdraw", "--reason", "why"],
        ["entry", "withdraw", "1"],
        ["entry", "withdraw", "1", "--reason", " "],
        ["blob", "withdraw", "0123", "--reason", "why"],
        ["withdrawal", "lift", "first"],
        ["migrate", "--directory"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_64_and_says_how_it_is_right(words):
    assert_refused(run(*words), "Usage: shacache-admin", code=64)


def test_a_configuration_that_is_missing_or_wrong_is_named(tmp_path):
    assert_refused(run("status", "--config", tmp_path / "absent.toml"), f"{tmp_path}/absent.toml: no such file")
    assert_refused(run("status", "--config", tmp_path), tmp_path, "directory")
    (tmp_path / "wrong.toml").write_text("[database]\nconnection = 'x'\npassword = 'y'\n[store]\ndirectory = '/'\n")
    assert_refused(run("account", "list", "--config", tmp_path / "wrong.toml"), "wrong.toml", "database.password")


def test_a_database_that_is_away_is_one_line(tmp_path):
    (tmp_path / "away.toml").write_text(
        f"[database]\nconnection = 'host={tmp_path} dbname=shacache'\n[store]\ndirectory = '/'\n")
    for words in ["account", "list"], ["account", "add", "x"], ["status"]:
        assert_refused(run(*words, "--config", tmp_path / "away.toml"), "database")


# Accounts

BAD_NAMES = ["", "Upper", "a b", "a/b", "../a", ".a", "_a", "é", "a" * 64, "a\nb", "a;b", "a'b"]


# CONSTRAINT account_name_is_a_word, signer_name_is_a_word.
@pytest.mark.parametrize("bad", BAD_NAMES)
def test_a_name_that_is_no_word_is_refused(closed, bad, tmp_path):
    certificate, _ = self_signed(tmp_path, "signature", "RSA:1024")
    before = listed(closed, "account", "list"), listed(closed, "signer", "list")
    for words in ["account", "add", bad], ["signer", "add", bad, certificate]:
        done = closed.admin(*words, check=False)
        assert (done.returncode, done.stdout) == (1, ""), done
        assert "can't be a name" in done.stderr
    assert (listed(closed, "account", "list"), listed(closed, "signer", "list")) == before


@pytest.mark.parametrize("good", ["a", "0", "a.b-c_d", "a" * 62])
def test_a_name_that_is_a_word_is_taken(closed, good):
    assert closed.admin("account", "add", good + "1").returncode == 0


def test_an_account_is_listed_for_scripts_and_for_people(closed, account):
    (row,) = [row for row in listed(closed, "account", "list") if row["name"] == account]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00", row.pop("created_at"))
    unlimited = ["key_prefixes", "blobs_limit", "bytes_limit", "blob_size_limit", "entries_per_day_limit", "entries_per_key_limit"]
    assert row == {
        "name": account, "state": "enabled", "roles": "blobs,entries", "blobs": 0, "bytes": 0, "entries_today": 0,
        "valid_certificates": 0, "comment": "Somebody's", **dict.fromkeys(unlimited)}
    text = closed.admin("account", "list").stdout
    header, *lines = text.splitlines()
    assert re.match("NAME +STATE +ROLES +", header) and header.endswith("COMMENT")
    assert [line for line in lines if re.fullmatch(rf"{account} +enabled +blobs,entries +.*\+00 +Somebody's", line)]


def test_what_somebody_wrote_into_a_comment_does_not_steer_the_terminal(closed):
    closed.admin("account", "add", made := name(), "--comment", "red \x1b[31m bell \x07 line\nline")
    text = closed.admin("account", "list").stdout
    assert "\x1b" not in text and "\x07" not in text and "\nline" not in text
    (row,) = [row for row in listed(closed, "account", "list") if row["name"] == made]
    assert row["comment"] == "red \x1b[31m bell \x07 line\nline"


def test_an_account_is_shown_with_its_certificates(closed, account, tmp_path):
    closed.admin("certificate", "issue", account, "--out", tmp_path)
    shown = listed(closed, "account", "show", account)
    assert set(shown) == {"account", "certificates"}
    (row,), (certificate,) = shown["account"], shown["certificates"]
    assert (row["name"], row["valid_certificates"]) == (account, 1)
    assert certificate["fingerprint"] == fingerprint(tmp_path / f"{account}.crt")
    text = closed.admin("account", "show", account).stdout
    assert account in text and certificate["fingerprint"] in text


def test_disabling_and_enabling_may_be_said_twice(closed, account):
    for verb, state in ("disable", "disabled"), ("enable", "enabled"):
        for _ in range(2):
            assert closed.admin("account", verb, account).returncode == 0
            assert listed(closed, "account", "show", account)["account"][0]["state"] == state


@pytest.mark.parametrize(
    "words",
    [["account", "show"], ["account", "disable"], ["account", "enable"], ["certificate", "list"]],
    ids=" ".join,
)
def test_an_account_that_does_not_exist_is_an_error(closed, words):
    assert_refused(closed.admin(*words, "nobody", check=False), "there is no account nobody")


def test_an_account_that_exists_is_not_made_again(closed, account):
    assert_refused(closed.admin("account", "add", account, "--comment", "new", check=False), account, "already")
    assert listed(closed, "account", "show", account)["account"][0]["comment"] == "Somebody's"


# Certificates


def test_an_issued_certificate_is_for_clients_alone_and_its_key_is_for_its_owner_alone(closed, account, tmp_path):
    done = closed.admin("certificate", "issue", account, "--out", tmp_path, "--days", "10")
    assert done.stdout == "" and str(tmp_path / f"{account}.crt") in done.stderr
    certificate, key = tmp_path / f"{account}.crt", tmp_path / f"{account}.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    text = openssl("x509", "-in", certificate, "-noout", "-text").decode().replace(" = ", "=")
    for line in f"CN={account}", "CA:FALSE", "TLS Web Client Authentication", "Digital Signature":
        assert line in text
    assert "TLS Web Server" not in text
    openssl("verify", "-purpose", "sslclient", "-CAfile", closed.state / "ca/ca.crt", certificate)
    openssl("x509", "-in", certificate, "-noout", "-checkend", str(9 * 86_400))
    (row,) = listed(closed, "certificate", "list", account)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00", row.pop("not_after"))
    assert row == {
        "fingerprint": fingerprint(certificate),
        "account": account,
        "state": "valid",
        "origin": "issued",
        "subject": f"CN={account}",
        "issuer": "CN=ShaCache make run",
        "serial": openssl("x509", "-in", certificate, "-noout", "-serial").decode().strip().removeprefix("serial="),
    }


def files(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def test_issuing_overwrites_nothing(closed, account, tmp_path):
    closed.admin("certificate", "issue", account, "--out", tmp_path)
    before = files(tmp_path), listed(closed, "certificate", "list")
    assert_refused(closed.admin("certificate", "issue", account, "--out", tmp_path, check=False), f"{account}.key")
    assert (files(tmp_path), listed(closed, "certificate", "list")) == before


# A key without its certificate would stand in the way of the next try.
@pytest.mark.parametrize("obstacle", ["crt", "key"])
def test_issuing_that_fails_halfway_leaves_nothing(closed, account, tmp_path, obstacle):
    (tmp_path / f"{account}.{obstacle}").write_text("precious")
    assert_refused(closed.admin("certificate", "issue", account, "--out", tmp_path, check=False), obstacle)
    assert files(tmp_path) == {f"{account}.{obstacle}": b"precious"}
    assert listed(closed, "certificate", "list", account) == []


def test_nothing_is_issued_to_an_account_that_does_not_exist(closed, tmp_path):
    make_key(tmp_path / "key")
    make_request(tmp_path / "csr", tmp_path / "key", "anybody")
    before = files(tmp_path)
    for words in (
        ["issue", "nobody", "--out", tmp_path],
        ["sign", "nobody", tmp_path / "csr", "--out", tmp_path / "crt"],
        ["register", "nobody", closed.env["CLIENT_CERT"]],
    ):
        done = closed.admin("certificate", *words, check=False)
        assert (done.returncode, files(tmp_path)) == (1, before), done


def test_the_directory_for_a_key_is_made_for_its_owner_alone(closed, account, tmp_path):
    closed.admin("certificate", "issue", account, "--out", tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert set(files(tmp_path / "new")) == {f"{account}.crt", f"{account}.key"}


def test_issuing_to_a_directory_that_can_not_be_made_is_an_error(closed, account, tmp_path):
    out = tmp_path / "absent/new"
    assert_refused(closed.admin("certificate", "issue", account, "--out", out, check=False), out, "no such file")
    assert listed(closed, "certificate", "list", account) == []


@pytest.mark.parametrize("days", ["0", "=-1", "99999999"])
def test_a_certificate_is_valid_for_a_day_at_least_and_not_for_ever(closed, account, tmp_path, days):
    option = [f"--days{days}"] if days.startswith("=") else ["--days", days]
    done = closed.admin("certificate", "issue", account, "--out", tmp_path, *option, check=False)
    assert done.returncode in (1, 64) and "days" in done.stderr, done
    assert files(tmp_path) == {} and listed(closed, "certificate", "list", account) == []


@pytest.mark.parametrize("kind", ["EC", "RSA:2048"])
def test_a_request_is_signed_for_the_account_whatever_name_it_asks_for(closed, account, tmp_path, kind):
    key, request, certificate = (tmp_path / suffix for suffix in ("key", "csr", "crt"))
    make_key(key, kind)
    make_request(request, key, "demo")
    closed.admin("certificate", "sign", account, request, "--out", certificate)
    assert openssl("x509", "-in", certificate, "-noout", "-subject").decode().replace(" ", "") == f"subject=CN={account}\n"
    assert openssl("x509", "-in", certificate, "-noout", "-pubkey") == openssl("pkey", "-in", key, "-pubout")
    (row,) = listed(closed, "certificate", "list", account)
    assert (row["fingerprint"], row["origin"], row["state"]) == (fingerprint(certificate), "signed", "valid")
    status, _, _ = closed.request("POST", "/shacache", b"signed", context=closed.tls(certificate, key))
    assert status == 201
    # Nor is a certificate overwritten.
    before = files(tmp_path)
    done = closed.admin("certificate", "sign", account, request, "--out", certificate, check=False)
    assert_refused(done, certificate)
    assert files(tmp_path) == before and len(listed(closed, "certificate", "list", account)) == 1


def weak(request, tmp_path):
    make_key(tmp_path / "weak", "RSA:1024")
    make_request(request, tmp_path / "weak", "weak")


def tampered_with(request, tmp_path):
    make_key(tmp_path / "sound")
    make_request(request, tmp_path / "sound", "sound")
    der = bytearray(openssl("req", "-in", request, "-outform", "DER"))
    der[-1] ^= 1
    request.write_bytes(openssl("req", "-inform", "DER", "-outform", "PEM", input=bytes(der)))


def no_request(request, tmp_path):
    request.write_text("-----BEGIN CERTIFICATE REQUEST-----\nnonsense\n-----END CERTIFICATE REQUEST-----\n")


def no_file(request, tmp_path):
    pass


# CertificateAuthority.sign.
@pytest.mark.parametrize(
    "make, words", [(weak, "2048"), (tampered_with, "request"), (no_request, "request"), (no_file, "csr")])
def test_a_request_that_is_weak_or_broken_is_not_signed(closed, account, tmp_path, make, words):
    make(tmp_path / "csr", tmp_path)
    done = closed.admin("certificate", "sign", account, tmp_path / "csr", "--out", tmp_path / "crt", check=False)
    assert_refused(done, words)
    assert not (tmp_path / "crt").exists() and listed(closed, "certificate", "list", account) == []


# CertificateCommand.Register. It works where nginx has a lower security level, so it is not refused.
@pytest.mark.parametrize("options, words", [
    ({"kind": "RSA:1024"}, "warning: it has an RSA key of 1024 bits"), ({"digest": "sha1"}, "warning: it is signed with SHA-1")])
def test_a_certificate_that_nginx_refuses_is_registered_with_a_warning(closed, account, tmp_path, options, words):
    certificate, _ = Authority.create(tmp_path, "theirs").issue("weak", **options)
    assert words in closed.admin("certificate", "register", account, certificate).stderr


def test_a_certificate_of_another_authority_is_registered_once(closed, account, tmp_path):
    certificate, _ = Authority.create(tmp_path, "Another CA").issue("theirs")
    closed.admin("certificate", "register", account, certificate)
    (row,) = listed(closed, "certificate", "list", account)
    assert (row["origin"], row["issuer"], row["subject"]) == ("registered", "CN=Another CA", "CN=theirs")
    closed.admin("account", "add", another := name())
    for taker in account, another:
        done = closed.admin("certificate", "register", taker, certificate, check=False)
        assert_refused(done, "already", account)
    done = closed.admin("certificate", "register", account, closed.env["CLIENT_KEY"], check=False)
    assert_refused(done, "certificate")


def test_a_certificate_is_revoked_by_any_unique_beginning_of_its_fingerprint(closed, account, tmp_path):
    written = [lambda text: text, lambda text: text[:8], lambda text: text[:12].upper(),
               lambda text: ":".join(re.findall("..", text)).upper()]
    for number, write in enumerate(written):
        (tmp_path / str(number)).mkdir()
        closed.admin("certificate", "issue", account, "--out", tmp_path / str(number))
        whole = fingerprint(tmp_path / str(number) / f"{account}.crt")
        done = closed.admin("certificate", "revoke", write(whole))
        assert whole in done.stderr and account in done.stderr
    assert [row["state"] for row in listed(closed, "certificate", "list", account)] == ["revoked"] * len(written)


def test_a_beginning_that_several_fingerprints_share_revokes_none(closed, account):
    beginning = os.urandom(8).hex()
    for end in "00", "01":
        Database(closed).run(
            f"""INSERT INTO shacache.certificate
                    (fingerprint, account_id, subject, issuer, serial, not_before, not_after, origin)
                SELECT decode(rpad('{beginning}', 62, '0') || '{end}', 'hex'), id, '', '', '', now(), now() + '1 day',
                    'registered'
                FROM shacache.account WHERE name = '{account}'""")
    assert_refused(closed.admin("certificate", "revoke", beginning, check=False), "more than one", beginning)
    assert [row["state"] for row in listed(closed, "certificate", "list", account)] == ["valid", "valid"]
    closed.admin("certificate", "revoke", beginning.ljust(62, "0") + "01")
    assert sorted(row["state"] for row in listed(closed, "certificate", "list", account)) == ["revoked", "valid"]


def test_a_fingerprint_that_nobody_has_is_an_error(closed):
    assert_refused(closed.admin("certificate", "revoke", "0" * 64, check=False), "there is no certificate")


def test_the_authority_is_never_made_again(closed):
    before = files(closed.state / "ca")
    assert_refused(closed.admin("ca", "create", check=False), "ca.key")
    assert files(closed.state / "ca") == before
    assert stat.S_IMODE((closed.state / "ca/ca.key").stat().st_mode) == 0o600


@pytest.fixture
def administration(closed, tmp_path):
    """shacache-admin on another machine: the same database, no store, and no authority yet."""
    (tmp_path / "shacache.toml").write_text(
        f"[database]\nconnection = 'host={closed.state}/run/postgresql dbname=shacache'\n"
        f"[store]\ndirectory = '{tmp_path}/store'\n"
        f"[ca]\ncertificate = '{tmp_path}/ca.crt'\nkey = '{tmp_path}/ca.key'\n")
    return lambda *words: run(*words, "--config", tmp_path / "shacache.toml")


def end(certificate):
    return openssl("x509", "-in", certificate, "-noout", "-enddate")


def test_an_authority_lasts_ten_years(administration, tmp_path):
    assert administration("ca", "create").returncode == 0
    openssl("x509", "-in", tmp_path / "ca.crt", "-noout", "-checkend", str(3649 * 86_400))


# CertificateAuthority.build.
def test_no_certificate_outlives_its_authority(administration, account, tmp_path):
    assert administration("ca", "create", "--days", "100").returncode == 0
    make_request(tmp_path / "csr", tmp_path / "ca.key", "theirs")
    for certificate, words in {
        tmp_path / f"{account}.crt": ["issue", account, "--out", tmp_path],
        tmp_path / "signed": ["sign", account, tmp_path / "csr", "--out", tmp_path / "signed"],
    }.items():
        done = administration("certificate", *words)
        assert "warning: valid until 20" in done.stderr, done
        assert end(certificate) == end(tmp_path / "ca.crt")
    (tmp_path / "shorter").mkdir()
    done = administration("certificate", "issue", account, "--out", tmp_path / "shorter", "--days", "50")
    assert done.returncode == 0 and "warning" not in done.stderr, done


def test_an_authority_that_has_expired_makes_no_certificate(administration, account, tmp_path):
    self_signed(tmp_path, "ca", "EC")
    request = ["-key", tmp_path / "ca.key", "-out", tmp_path / "ca.csr", "-subj", "/CN=ca"]
    openssl("req", "-new", *request)
    (tmp_path / "ca.crt").unlink()
    # Only `ca` of every OpenSSL makes what has expired already: 3.5 refuses negative days.
    (tmp_path / "index").touch()
    (tmp_path / "ca.cnf").write_text(
        f"[ca]\ndefault_ca = it\n[it]\ndatabase = {tmp_path}/index\nnew_certs_dir = {tmp_path}\nrand_serial = yes\n"
        "default_md = sha256\npolicy = any\nx509_extensions = extensions\n[any]\ncommonName = supplied\n"
        "[extensions]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\n")
    openssl("ca", "-config", tmp_path / "ca.cnf", "-batch", "-notext", "-selfsign", "-keyfile", tmp_path / "ca.key",
            "-in", tmp_path / "ca.csr", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z",
            "-out", tmp_path / "ca.crt")
    assert_refused(administration("certificate", "issue", account, "--out", tmp_path), "ca.crt", "expired at 20")
    assert not (tmp_path / f"{account}.crt").exists()


# As in docs/install.md. Both have the same name, so only their keys' identifiers tell them apart: Role.extensions.
def test_an_authority_is_renewed_while_the_certificates_of_the_old_one_go_on(start, tmp_path):
    stack = start(WORKERS="1")
    (stack.state / "ca/old").mkdir()
    for file in "ca.crt", "ca.key":
        (stack.state / "ca" / file).rename(stack.state / "ca/old" / file)
    stack.admin("ca", "create", "--name", "ShaCache make run")
    stack.admin("certificate", "issue", "demo", "--out", tmp_path)
    renewed = stack.tls(tmp_path / "demo.crt", tmp_path / "demo.key")
    assert stack.request("POST", "/shacache", b"new", context=renewed)[0] == 403
    with open(stack.state / "tls/clients-ca.crt", "a") as trusted:
        trusted.write((stack.state / "ca/ca.crt").read_text())
    stack.reload_nginx()
    for context in renewed, stack.tls():
        assert stack.request("POST", "/shacache", b"new", context=context)[0] == 201


# Signers


def test_a_signer_is_added_listed_and_revoked(closed, tmp_path):
    certificate, _ = self_signed(tmp_path, "signature", "RSA:1024")
    done = closed.admin("signer", "add", signer := name(), certificate)
    assert "1024 bits" in done.stderr
    (row,) = [row for row in listed(closed, "signer", "list") if row["name"] == signer]
    assert set(row) == {"name", "state", "revoked_since", "key_sha256", "entries", "created_at"}
    assert (row["state"], row["entries"]) == ("trusted", 0)
    assert_refused(closed.admin("signer", "add", signer, certificate, check=False), "already")
    assert_refused(closed.admin("signer", "add", name(), certificate, check=False), "already", signer)
    closed.admin("signer", "revoke", signer)
    (row,) = [row for row in listed(closed, "signer", "list") if row["name"] == signer]
    assert row["state"] == "revoked"
    assert_refused(closed.admin("signer", "revoke", "nobody", check=False), "there is no signer nobody")


def test_a_signer_needs_an_rsa_certificate(closed, tmp_path):
    elliptic, key = self_signed(tmp_path, "elliptic", "EC")
    before = listed(closed, "signer", "list")
    assert_refused(closed.admin("signer", "add", name(), elliptic, check=False), "RSA")
    assert_refused(closed.admin("signer", "add", name(), key, check=False), "certificate")
    assert_refused(closed.admin("signer", "add", name(), tmp_path / "absent", check=False), "absent")
    assert listed(closed, "signer", "list") == before


# Status, migrations, audit


def test_the_status_counts_what_is_there(closed):
    (row,) = listed(closed, "status")
    ((blobs, size, entries),) = Database(closed).run(
        """SELECT (SELECT count(*) FROM shacache.blob), (SELECT sum(size) FROM shacache.blob), count(*)
           FROM shacache.entry""")
    assert (row["blobs"], row["bytes"], row["entries"]) == (int(blobs), int(size), int(entries))
    assert row["free_bytes"] > 0
    assert f"blobs: {blobs}" in closed.admin("status").stdout.splitlines()


def test_the_status_leaves_out_what_is_on_another_machine(administration, tmp_path):
    done = administration("status", "--json")
    (row,) = json.loads(done.stdout)
    assert (done.returncode, row["authority_not_after"], row["free_bytes"]) == (0, None, None), done
    assert f"{tmp_path}/store" in done.stderr
    assert administration("ca", "create").returncode == 0
    assert re.search(r"^authority not after: 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\+00$", administration("status").stdout, re.M)


def test_a_store_that_can_not_be_used_is_named(administration, tmp_path):
    (tmp_path / "store").mkdir()
    assert_refused(administration("status"), f"{tmp_path}/store: look at the store's free space: no such file")


# Shacached.serve: withStore.
def test_a_worker_that_can_not_use_its_store_names_it(tmp_path):
    (tmp_path / "shacache.toml").write_text(f"[database]\nconnection = ''\n[store]\ndirectory = '{tmp_path}/no/store'\n")
    activate = 'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=read:write exec "$@" 3</dev/null 4</dev/null'
    worker = [ADMIN.with_name("shacached"), "--config", tmp_path / "shacache.toml"]
    done = subprocess.run(["sh", "-c", activate, "sh", *worker], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"shacached: {tmp_path}/no/store: make a directory of the store: no such file or directory\n"


def test_migrating_again_does_nothing_and_an_altered_migration_is_refused(closed, tmp_path):
    assert "up to date" in closed.admin("migrate", "--directory", REPOSITORY / "sql").stderr
    sql = shutil.copytree(REPOSITORY / "sql", tmp_path / "sql")
    for file in sql.glob("0*.sql"):
        file.write_bytes(file.read_bytes() + b"\n")
    assert_refused(closed.admin("migrate", "--directory", sql, check=False), "0001", "changed")


# Audit.change: the change and its audit are one transaction.
def test_every_change_is_written_down_with_who_made_it(closed, tmp_path, monkeypatch):
    account, signer = name(), name()
    signature, _ = self_signed(tmp_path, "signature", "RSA:1024")
    theirs, _ = Authority.create(tmp_path, "Another CA").issue("theirs")
    make_request(tmp_path / "csr", tmp_path / "theirs.key", "theirs")
    start = Database(closed).run("SELECT max(id) FROM shacache.audit")[0][0]
    monkeypatch.setenv("SUDO_USER", "carol")
    closed.admin("account", "add", account, "--comment", "why", "--blobs-limit", "7")
    closed.admin("account", "set", account, "--bytes-limit", "1K", "--role", "operator", "--blobs-limit", "none")
    closed.admin("certificate", "issue", account, "--out", tmp_path)
    closed.admin("certificate", "sign", account, tmp_path / "csr", "--out", tmp_path / "signed")
    monkeypatch.delenv("SUDO_USER")
    closed.admin("certificate", "register", account, theirs)
    closed.admin("certificate", "revoke", fingerprint(theirs)[:8])
    closed.admin("account", "disable", account)
    closed.admin("account", "enable", account)
    closed.admin("signer", "add", signer, signature)
    closed.admin("signer", "revoke", signer)
    # None of these changes anything.
    closed.admin("account", "add", account, check=False)
    closed.admin("account", "disable", "nobody", check=False)
    closed.admin("signer", "add", name(), signature, check=False)
    closed.admin("certificate", "list")
    rows = Database(closed).run(
        f"SELECT actor, action, subject, detail, at <= now() FROM shacache.audit WHERE id > {start} ORDER BY id")
    me = getpass.getuser()
    assert [row[:3] for row in rows] == [
        ("carol", "account add", account),
        ("carol", "account set", account),
        ("carol", "certificate add", account),
        ("carol", "certificate add", account),
        (me, "certificate add", account),
        (me, "certificate revoke", account),
        (me, "account disable", account),
        (me, "account enable", account),
        (me, "signer add", signer),
        (me, "signer revoke", signer),
    ]
    assert all(row[4] == "t" for row in rows)
    details = [row[3] for row in rows]
    assert details[0] == "why; blobs limit none → 7"
    assert details[1] == "roles blobs entries → operator; bytes limit none → 1024; blobs limit 7 → none"
    # An account has several certificates: the audit says which of them it means.
    certificates = [tmp_path / f"{account}.crt", tmp_path / "signed", theirs, theirs]
    for detail, origin, certificate in zip(details[2:6], ["issued", "signed", "registered", ""], certificates):
        assert origin in detail and fingerprint(certificate) in detail, detail
