"""What [ca] may name: authorities of every kind that nginx takes, and none whose certificates it would refuse."""

import os
import pty
import re
import select
import subprocess
import termios

import pytest
from administration import ADMIN, assert_refused, run
from certificates import Authority, make_request, openssl, self_signed
from node import CLEAN
from stack import REPOSITORY, eventually

AUTHORITY = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]


def authority(directory, name, *options, key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), issuer=None, days="30"):
    """A certificate and its key in PEM: `openssl req -x509` as an operator types it; by another one, if given."""
    certificate, private = directory / f"{name}.crt", directory / f"{name}.key"
    if "-passout" not in options:
        options = ("-nodes", *options)
    if issuer:
        openssl("req", "-new", "-newkey", *key, "-keyout", private, "-out", directory / "csr", "-subj", f"/CN={name}", "-nodes")
        (directory / "ext").write_text("\n".join(["basicConstraints=critical,CA:TRUE", *options[1:]]))
        openssl("x509", "-req", "-in", directory / "csr", "-CA", issuer[0], "-CAkey", issuer[1], "-CAcreateserial",
                "-out", certificate, "-days", days, "-extfile", directory / "ext")
    else:
        openssl("req", "-x509", "-newkey", *key, "-keyout", private, "-out", certificate, "-subj", f"/CN={name}", "-days", days, *options)
    return certificate, private


class Administration:
    """shacache-admin and shacached --check-config on a machine with this authority, and the database of another."""

    def __init__(self, stack, directory, certificate, key, more=""):
        self.config = directory / "shacache.toml"
        self.config.write_text(
            f"[database]\nconnection = 'host={stack.state}/run/postgresql dbname=shacache'\n"
            f"[store]\ndirectory = '{directory}/store'\n"
            f"[ca]\ncertificate = '{certificate}'\nkey = '{key}'\n{more}")

    def run(self, *words, **environment):
        return run(*words, "--config", self.config, **environment)

    def check(self):
        return subprocess.run(
            [REPOSITORY / ".build/release/shacached", "--check-config", "--config", self.config], capture_output=True, text=True)

    def assert_right(self):
        done = self.check()
        assert done.returncode == 0, done
        assert "warning: " + str(self.config.parent) not in self.run("status").stderr

    def assert_refused_by_check(self, *words):
        done = self.check()
        assert done.returncode == 1 and all(word in done.stderr for word in words), done

    def assert_useless(self, account, directory, *words):
        """Found before it is used, and when it is."""
        self.assert_refused_by_check(*words)
        warned = self.run("status").stderr
        assert all(word in warned for word in words), warned
        done = self.run("certificate", "issue", account, "--out", directory / "out")
        assert done.returncode == 1 and all(word in done.stderr for word in words), done
        assert not (directory / "out").exists()


@pytest.fixture(scope="module")
def trusting(closed):
    """Makes nginx trust an authority's file for as long as the test module runs."""
    trusted = closed.state / "tls/clients-ca.crt"
    before = trusted.read_text()

    def trust(*files):
        trusted.write_text(before + "".join(file.read_text() for file in files))
        closed.reload_nginx()

    yield trust
    trusted.write_text(before)
    closed.reload_nginx()


def uploads(stack, directory, name):
    context = stack.tls(directory / f"{name}.crt", directory / f"{name}.key")
    return stack.request("POST", "/shacache", os.urandom(20), context=context)[0]


# PrivateKey.digestOfCertificates; and CertificateAuthority.build, which names an identifier only where there is one.
@pytest.mark.parametrize("key, options", [
    (["rsa:2048"], AUTHORITY), (["ec", "-pkeyopt", "ec_paramgen_curve:P-384"], AUTHORITY), (["ed25519"], AUTHORITY),
    (["ed448"], AUTHORITY), (["rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"], AUTHORITY), (["ed25519"], []),
    (["rsa:2048"], ["-addext", "subjectKeyIdentifier=none"])])
def test_nginx_takes_what_it_issues(closed, account, trusting, tmp_path, key, options):
    files = authority(tmp_path, "ours", *options, key=key)
    admin = Administration(closed, tmp_path, *files)
    admin.assert_right()
    done = admin.run("certificate", "issue", account, "--out", tmp_path / "out")
    assert done.returncode == 0, done
    trusting(files[0])
    assert uploads(closed, tmp_path / "out", account) == 201


# CertificateAuthority.init takes the chain, and Certificate.verify has it all in its store.
def test_nginx_takes_what_an_intermediate_issues_with_its_chain(closed, account, trusting, tmp_path):
    root = authority(tmp_path, "root", *AUTHORITY)
    between = authority(tmp_path, "between", "keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash", issuer=root)
    alone = Administration(closed, tmp_path, *between)
    alone.assert_useless(account, tmp_path, "CN=between", "its issuer CN=root isn't in the file", "hint: append the certificates")
    chain = tmp_path / "chain.crt"
    chain.write_text(between[0].read_text() + "and the root:\n" + root[0].read_text())
    admin = Administration(closed, tmp_path, chain, between[1])
    admin.assert_right()
    assert admin.run("certificate", "issue", account, "--out", tmp_path / "out").returncode == 0
    trusting(chain)
    assert uploads(closed, tmp_path / "out", account) == 201


# Certificate.checkMayIssue, and Certificate.verify with a trial: nginx refuses what each of these issues.
@pytest.mark.parametrize("options, key, words", [
    (["-addext", "basicConstraints=critical,CA:FALSE"], None, ["no authority", "basicConstraints don't say CA:TRUE"]),
    (["-addext", "keyUsage=critical,digitalSignature"], None, ["no authority", "keyUsage lacks keyCertSign"]),
    (["-addext", "extendedKeyUsage=serverAuth"], None, ["extendedKeyUsage is not for client certificates"]),
    (["-config"], None, ["permitted subtree violation"]),
    ([], ["rsa:1024"], ["key too weak"]),
])
def test_an_authority_that_may_not_issue_is_refused(closed, account, tmp_path, options, key, words):
    if options[-1:] == ["-config"]:
        (tmp_path / "config").write_text(
            "[req]\ndistinguished_name = name\nx509_extensions = ca\n[name]\n[ca]\nbasicConstraints = CA:TRUE\n"
            "nameConstraints = critical,permitted;dirName:allowed\n[allowed]\nO = Example\n")
        options = ["-config", tmp_path / "config"]
    files = authority(tmp_path, "ours", *options, **({"key": key} if key else {}))
    Administration(closed, tmp_path, *files).assert_useless(account, tmp_path, "ours.crt: ", *words)


def test_a_path_that_may_not_be_so_long_is_refused(closed, account, tmp_path):
    root = authority(tmp_path, "root", "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0")
    between = authority(tmp_path, "between", issuer=root)
    chain = tmp_path / "chain.crt"
    chain.write_text(between[0].read_text() + root[0].read_text())
    Administration(closed, tmp_path, chain, between[1]).assert_useless(account, tmp_path, "path length constraint exceeded")


def test_an_authority_that_has_expired_or_has_another_key_is_found_beforehand(closed, account, tmp_path):
    certificate, key = self_signed(tmp_path, "ours", "EC")
    _, other = self_signed(tmp_path, "other", "EC")
    Administration(closed, tmp_path, certificate, other).assert_refused_by_check("its key does not belong to its certificate")
    ours = Authority(tmp_path, certificate, key)
    ours.renew_itself((-9, -2))
    Administration(closed, tmp_path, certificate, key).assert_refused_by_check("CN=ours: certificate has expired")
    ours.renew_itself((2, 9))
    Administration(closed, tmp_path, certificate, key).assert_refused_by_check("CN=ours: certificate is not yet valid")


def test_where_the_authority_is_not_nothing_is_said(closed, tmp_path):
    Administration(closed, tmp_path, tmp_path / "elsewhere.crt", tmp_path / "elsewhere.key").assert_right()


# CertificateAuthority.certify verifies what it made: a key may be too weak for the authority that issues without complaint.
def test_a_request_with_a_weak_key_is_refused(closed, account, tmp_path):
    files = authority(tmp_path, "ours", *AUTHORITY)
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp160r1", "-out", tmp_path / "weak.key")
    make_request(tmp_path / "csr", tmp_path / "weak.key", "theirs")
    done = Administration(closed, tmp_path, *files).run("certificate", "sign", account, tmp_path / "csr", "--out", tmp_path / "crt")
    assert_refused(done, "key too weak")


# Passphrases


def passphrase(directory, text):
    """A file with it, for nobody else to read."""
    file = directory / "passphrase"
    file.touch(0o600)
    file.write_text(text)
    return file


def assert_said(admin, account, *endings):
    """The same by both programs, with their names before each line, and nothing else."""
    issue = admin.run("certificate", "issue", account, "--out", admin.config.parent / "never")
    for program, done in ("shacached", admin.check()), ("shacache-admin", issue):
        assert (done.returncode, done.stderr) == (1, "".join(program + ending for ending in endings)), done


@pytest.fixture
def encrypted(tmp_path):
    return authority(tmp_path, "ours", "-passout", "pass:open sesame", *AUTHORITY)


def test_a_passphrase_comes_from_its_file(closed, account, encrypted, tmp_path):
    file = passphrase(tmp_path, "open sesame\nand more\n")
    admin = Administration(closed, tmp_path, *encrypted, f"passphrase-file = '{file}'\n")
    admin.assert_right()
    assert admin.run("certificate", "issue", account, "--out", tmp_path / "out").returncode == 0
    file.write_text("")
    assert "its first line is empty" in admin.check().stderr
    file.unlink()
    assert_said(admin, account, f": {file}: no such file or directory\n")


# PrivateKey.init: `WrongPassphrase`. OpenSSL's own words name neither the file nor the cause.
@pytest.mark.parametrize("cipher", [["-v2", "aes-256-cbc"], ["-traditional"]], ids=" ".join)
def test_a_wrong_passphrase_is_said_to_be_one(closed, account, encrypted, tmp_path, cipher):
    certificate, key = encrypted
    if cipher == ["-traditional"]:
        openssl("pkey", "-in", key, "-passin", "pass:open sesame", "-traditional", "-aes256", "-passout", "pass:open sesame",
                "-out", tmp_path / "old.key")
        key = tmp_path / "old.key"
    file = passphrase(tmp_path, "wrong\n")
    admin = Administration(closed, tmp_path, certificate, key, f"passphrase-file = '{file}'\n")
    assert_said(admin, account, f": {key}: the passphrase in {file} is not its own\n")


# An EC key in what OpenSSL 3 has in its legacy provider only: PBE-MD5-DES. Its passphrase is the right one.
OLD_CIPHER = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGwMBsGCSqGSIb3DQEFAzAOBAhqk2pjZ1zAVAICCAAEgZCz/mPtYxzDDaPvC5zW
pr0khet8kt5Xdvzg3Y+xHM+BmvGO1X6dSug+nmwqEfGkTtIO7olKNxIy03vOqPgn
yG6bAa6PiFkYptvpnLqWW4DhnNzIKv+QCsVRtkMAhk/ViUAN9VZe0du6ebjEktZQ
tmskc9k9yJkSsQCN8qlMOhNdg/4j7kXHiL2V9CGHONVOjjM=
-----END ENCRYPTED PRIVATE KEY-----
"""


# PrivateKey.init: `unsupported`. Another passphrase wouldn't help.
def test_a_cipher_that_is_too_old_is_no_wrong_passphrase(closed, account, encrypted, tmp_path):
    certificate, key = encrypted
    key.write_text(OLD_CIPHER)
    admin = Administration(closed, tmp_path, certificate, key, f"passphrase-file = '{passphrase(tmp_path, 'open sesame')}'\n")
    admin.assert_refused_by_check(f"shacached: {key}: read a private key: ", "unsupported")


# Configuration.CertificateAuthorityFiles.passphrase: the mode. As ssh does with a key.
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_passphrase_that_others_may_read_is_not_taken(closed, account, encrypted, tmp_path, mode):
    file = passphrase(tmp_path, "open sesame\n")
    file.chmod(mode)
    admin = Administration(closed, tmp_path, *encrypted, f"passphrase-file = '{file}'\n")
    assert_said(admin, account, f": {file}: others may read the passphrase (mode {mode:o})\n", f": hint: chmod 600 {file}\n")
    file.chmod(0o400)
    admin.assert_right()


# Configuration.CertificateAuthorityFiles.check: what it returns; and a key that is none at all isn't taken for such a one.
def test_a_check_says_what_it_could_not_look_at(closed, encrypted, tmp_path):
    certificate, key = encrypted
    admin = Administration(closed, tmp_path, certificate, key)
    right, remark = admin.check().stdout.splitlines()
    assert right.endswith("the configuration is right")
    assert remark == f"{key}: has a passphrase, which is asked for on the terminal: no passphrase-file is set in [ca]"
    key.write_text("nonsense\n")
    admin.assert_refused_by_check(f"shacached: {key}: read a private key")


def test_without_terminal_and_file_a_hint_says_what_to_do(closed, account, encrypted, tmp_path):
    admin = Administration(closed, tmp_path, *encrypted)
    admin.assert_right()
    done = admin.run("certificate", "issue", account, "--out", tmp_path / "out")
    assert done.returncode == 1 and "ours.key: has a passphrase\nshacache-admin: hint: call this on a terminal" in done.stderr, done
    assert "passphrase-file" in done.stderr


def test_on_a_terminal_it_is_asked_for_and_not_shown(closed, account, encrypted, tmp_path):
    admin = Administration(closed, tmp_path, *encrypted)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(ADMIN, [str(ADMIN), "certificate", "issue", account, "--out", str(tmp_path / "out"),
                          "--config", str(admin.config)], CLEAN)
    said = b""
    while not said.endswith(b".key: "):
        assert select.select([terminal], [], [], 30)[0], said
        said += os.read(terminal, 1000)
    eventually(lambda: not termios.tcgetattr(terminal)[3] & termios.ECHO)
    os.write(terminal, b"open sesame\n")
    try:
        while piece := os.read(terminal, 1000):
            said += piece
    except OSError:
        pass  # it has ended
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
    assert b"sesame" not in said and (tmp_path / f"out/{account}.crt").exists()


def test_a_new_authoritys_key_is_encrypted_where_a_passphrase_file_is_named(closed, account, tmp_path):
    file = passphrase(tmp_path, "open sesame\n")
    admin = Administration(
        closed, tmp_path, tmp_path / "ca.crt", tmp_path / "ca.key", f"passphrase-file = '{file}'\n")
    assert admin.run("ca", "create").returncode == 0
    assert admin.run("ca", "create").stderr == f"shacache-admin: {tmp_path}/ca.key: file exists\n"
    assert re.match("-----BEGIN ENCRYPTED PRIVATE KEY-----", (tmp_path / "ca.key").read_text())
    assert admin.run("certificate", "issue", account, "--out", tmp_path / "out").returncode == 0
