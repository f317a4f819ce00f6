"""Certificates that end: which ones somebody is warned of, and how each is renewed."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from administration import assert_refused, listed, run
from certificates import Authority, fingerprint, make_key, make_request, openssl
from stack import Database, eventually
from transactions import is_waited_for, under_way


def issue(stack, account, directory, days=365):
    directory.mkdir(exist_ok=True)
    stack.admin("certificate", "issue", account, "--out", directory, "--days", str(days))
    return directory / f"{account}.crt", directory / f"{account}.key"


def public_key(certificate):
    return openssl("x509", "-in", certificate, "-noout", "-pubkey")


def warnings(stack, account, *words):
    """Of this account: as lines, and as scripts get them."""
    lines = [line for line in stack.admin("status", *words).stderr.splitlines() if f" {account} " in line]
    (row,) = listed(stack, "status", *words)
    # Fails when the two have ideas of their own of what expires.
    named = [warning for warning in row["warnings"] if warning["what"] == "certificate"]
    assert row["expiring_within_21_days"] == len(named)
    return lines, [warning for warning in row["warnings"] if warning["account"] == account]


@pytest.mark.parametrize("given", ["fingerprint", "file"])
def test_a_renewed_certificate_works_with_the_key_that_its_owner_has(closed, account, tmp_path, given):
    old, key = issue(closed, account, tmp_path, 10)
    word = fingerprint(old)[:12].upper() if given == "fingerprint" else old
    done = closed.admin("certificate", "renew", word, "--out", new := tmp_path / "new.crt", "--days", "100")
    assert re.search(r"the old one is valid until 20\d\d-", done.stderr), done
    assert fingerprint(new) != fingerprint(old) and public_key(new) == public_key(old)
    for certificate in old, new:
        assert closed.request("POST", "/shacache", b"x", context=closed.tls(certificate, key))[0] == 201
    rows = {row["fingerprint"]: row for row in listed(closed, "certificate", "list", account)}
    assert (rows[fingerprint(new)]["origin"], rows[fingerprint(old)]["state"]) == ("renewed", "valid")
    assert rows[fingerprint(new)]["subject"] == f"CN={account}"
    assert rows[fingerprint(new)]["not_after"] > rows[fingerprint(old)]["not_after"]
    # And that one, too, in its time.
    closed.admin("certificate", "renew", fingerprint(new), "--out", tmp_path / "newer.crt")


def test_one_for_a_request_is_renewed_too_also_when_it_has_expired(closed, account, tmp_path):
    make_key(key := tmp_path / "their.key")
    make_request(tmp_path / "csr", key, "whoever")
    closed.admin("certificate", "sign", account, tmp_path / "csr", "--out", old := tmp_path / "old.crt")
    Database(closed).run(
        f"UPDATE shacache.certificate SET not_before = now() - interval '2 days', not_after = now() - interval '1 day' "
        f"WHERE fingerprint = '\\x{fingerprint(old)}'")
    closed.admin("certificate", "renew", fingerprint(old)[:8], "--out", new := tmp_path / "new.crt")
    assert closed.request("POST", "/shacache", b"x", context=closed.tls(new, key))[0] == 201


# addCertificate keeps the certificate; those from before have a fingerprint alone.
def test_one_that_was_not_kept_is_renewed_from_its_file(closed, account, tmp_path):
    old, key = issue(closed, account, tmp_path)
    assert Database(closed).run(
        f"SELECT sha256(der) = fingerprint FROM shacache.certificate WHERE fingerprint = '\\x{fingerprint(old)}'") == [("t",)]
    Database(closed).run(f"UPDATE shacache.certificate SET der = NULL WHERE fingerprint = '\\x{fingerprint(old)}'")
    done = closed.admin("certificate", "renew", fingerprint(old), "--out", new := tmp_path / "new.crt", check=False)
    assert_refused(done, "give its file")
    closed.admin("certificate", "renew", old, "--out", new)
    assert closed.request("POST", "/shacache", b"x", context=closed.tls(new, key))[0] == 201


def test_what_is_not_to_go_on_is_not_renewed(closed, account, tmp_path):
    out = tmp_path / "new.crt"

    def refused(certificate, *words):
        assert_refused(closed.admin("certificate", "renew", certificate, "--out", out, check=False), *words)

    kept, _ = issue(closed, account, tmp_path / "kept")
    before = Database(closed).run("SELECT count(*) FROM shacache.certificate")
    refused("0" * 64, "there is no certificate")
    stranger, _ = Authority.create(tmp_path, "Another CA").issue("stranger")
    refused(stranger, "there is no certificate")
    closed.admin("certificate", "register", account, stranger)
    refused(stranger, "another authority")
    closed.admin("account", "disable", account)
    refused(kept, "disabled")
    closed.admin("account", "enable", account)
    out.write_text("mine")
    refused(kept, out)
    out.unlink()
    closed.admin("certificate", "revoke", fingerprint(kept))
    refused(kept, "revoked")
    assert not out.exists()
    ((count,),) = Database(closed).run("SELECT count(*) FROM shacache.certificate")
    assert int(count) == int(before[0][0]) + 1  # the stranger's


# A key that leaked has leaked for all its certificates.
def test_revoking_names_what_goes_on_with_the_same_key_and_none_of_it_is_renewed(closed, account, tmp_path):
    old, _ = issue(closed, account, tmp_path)
    other, _ = issue(closed, account, tmp_path / "other")
    closed.admin("certificate", "renew", old, "--out", new := tmp_path / "new.crt")
    done = closed.admin("certificate", "revoke", fingerprint(old))
    assert fingerprint(new) in done.stderr and fingerprint(other) not in done.stderr
    done = closed.admin("certificate", "renew", new, "--out", tmp_path / "newer.crt", check=False)
    assert_refused(done, fingerprint(old), "same key")
    assert fingerprint(old) not in closed.admin("certificate", "revoke", fingerprint(new)).stderr


# Certificates.add.
def test_a_key_that_had_a_certificate_revoked_gets_no_other(closed, account, tmp_path):
    make_key(key := tmp_path / "their.key")
    make_request(request := tmp_path / "csr", key, "whoever")
    closed.admin("certificate", "sign", account, request, "--out", old := tmp_path / "old.crt")
    closed.admin("certificate", "revoke", fingerprint(old))
    done = closed.admin("certificate", "sign", account, request, "--out", new := tmp_path / "new.crt", check=False)
    assert_refused(done, fingerprint(old), "same key")
    openssl("req", "-x509", "-key", key, "-subj", "/CN=whoever", "-out", own := tmp_path / "own.crt")
    assert_refused(closed.admin("certificate", "register", account, own, check=False), fingerprint(old), "same key")
    assert not new.exists() and len(listed(closed, "certificate", "list", account)) == 1


# Identities.status: nginx looked at the certificate when the connection was made.
def test_a_certificate_that_expires_counts_no_more_on_a_connection_that_stands(closed, account, tmp_path):
    certificate, key = issue(closed, account, tmp_path)
    connection = closed.connect(closed.tls(certificate, key))

    def ask(*request):
        connection.request(*request)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    with closing(connection):
        assert ask("POST", "/shacache", b"x")[0] == 201
        Database(closed).run(
            f"UPDATE shacache.certificate SET not_before = now() - interval '2 days', not_after = now() "
            f"WHERE fingerprint = '\\x{fingerprint(certificate)}'")
        assert ask("POST", "/shacache", b"x") == (403, f"the client certificate of {account} has expired: ask the operator for one of an account\n")
        assert f"the certificate of {account} has expired" in ask("GET", "/-/page/reports")[1]


# CertificateCommand.Renew asks again in its transaction. A revocation that comes later waits, and names the new one.
def test_one_that_is_revoked_at_the_same_moment_is_not_renewed(closed, account, tmp_path):
    old, _ = issue(closed, account, tmp_path)
    revocation = f"UPDATE shacache.certificate SET revoked_at = now() WHERE fingerprint = '\\x{fingerprint(old)}' RETURNING 1"
    out = tmp_path / "new.crt"
    with ThreadPoolExecutor() as pool, under_way(closed, revocation, "shacache_admin") as end:
        renewal = pool.submit(closed.admin, "certificate", "renew", old, "--out", out, check=False)
        eventually(lambda: is_waited_for(closed) or renewal.done())
        end()
        assert_refused(renewal.result(), fingerprint(old), "is revoked")
    assert not out.exists() and len(listed(closed, "certificate", "list", account)) == 1


# Warnings


def test_status_warns_until_the_certificate_is_renewed_with_the_command_that_it_names(closed, account, tmp_path):
    old, _ = issue(closed, account, tmp_path, 20)
    issue(closed, account, tmp_path / "lasting", 25)
    (line,), (warning,) = warnings(closed, account)
    assert re.fullmatch(
        rf"warning: certificate {fingerprint(old)[:12]} of {account} expires in (19|20) days: shacache-admin (.*)", line)
    assert (warning["fingerprint"], warning["days_left"] in (19, 20)) == (fingerprint(old), True)
    command = line.split("shacache-admin ")[1].split()
    assert command[:2] == ["certificate", "renew"] and warning["advice"].endswith(" ".join(command))
    command[-1] = tmp_path / command[-1].replace(".crt", "-next.crt")
    closed.admin(*command)
    assert warnings(closed, account) == ([], [])


# expiringCertificates: those with which nobody would stop uploading, or that can't be helped, are not named.
@pytest.mark.parametrize("what", ["revoked", "disabled", "expired"])
def test_status_says_nothing_of_what_ended_already(closed, account, tmp_path, what):
    old, _ = issue(closed, account, tmp_path, 20)
    match what:
        case "revoked":
            closed.admin("certificate", "revoke", fingerprint(old))
        case "disabled":
            closed.admin("account", "disable", account)
        case "expired":
            Database(closed).run(
                f"UPDATE shacache.certificate SET not_before = now() - interval '2 days', not_after = now() - interval '1 second' "
                f"WHERE fingerprint = '\\x{fingerprint(old)}'")
    assert warnings(closed, account) == ([], [])


# isReplaced: a later certificate may be that of another machine.
def test_status_goes_on_warning_beside_a_later_certificate_for_another_key(closed, account, tmp_path):
    old, _ = issue(closed, account, tmp_path, 20)
    new, _ = issue(closed, account, tmp_path / "new")
    lines, _ = warnings(closed, account)
    assert len(lines) == 1 and fingerprint(old)[:12] in lines[0]
    # Nor does a renewed one that was revoked.
    closed.admin("certificate", "renew", old, "--out", renewed := tmp_path / "renewed.crt")
    assert warnings(closed, account) == ([], [])
    closed.admin("certificate", "revoke", fingerprint(renewed))
    assert len(warnings(closed, account)[0]) == 1


def test_status_advises_to_register_what_another_authority_makes(closed, account, tmp_path):
    theirs, _ = Authority.create(tmp_path, "Another CA").issue("theirs", valid_days=(-1, 5))
    closed.admin("certificate", "register", account, theirs)
    (line,), _ = warnings(closed, account)
    assert f"certificate register {account}" in line


def test_status_warns_of_the_authority_and_of_the_servers_certificate(closed, tmp_path):
    authority = Authority.create(tmp_path, "An authority")  # for 30 days
    server, _ = authority.issue("server", valid_days=(-1, 5), usage="serverAuth")
    made = (closed.state / "shacache.toml").read_text()
    (tmp_path / "own.toml").write_text(
        re.sub(r"(?m)(\[ca\]\ncertificate = ).*", rf'\1"{authority.certificate}"', made))
    done = run("status", "--config", tmp_path / "own.toml", "--server-certificate", server)
    assert re.search(r"(?m)^warning: the authority expires in 29 days: .*operate\.md#renewing-the-authority$", done.stderr), done
    assert re.search(r"(?m)^warning: the server's certificate expires in 4 days: .*reload nginx", done.stderr), done
    done = closed.admin("status", "--server-certificate", closed.state / "tls/server.crt")
    assert "the authority" not in done.stderr and "the server's" not in done.stderr, done
