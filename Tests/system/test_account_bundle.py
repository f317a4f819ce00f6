"""What a new uploader is given: unpacked on a clean machine, its README.txt is followed word for word."""

import configparser
import hashlib
import re
import subprocess
import sysconfig
import tarfile
from pathlib import Path

import pytest
from administration import ADMIN, assert_refused, listed, name, run
from certificates import fingerprint
from stack import REPOSITORY, Database

SCRIPTS = sysconfig.get_path("scripts")  # of the deployed client


class Machine:
    """Somebody's, with the clients and nothing of ours."""

    def __init__(self, home):
        self.home = home
        home.mkdir()
        self.archive = home / "from the operator.tar.gz"

    def unpack(self):
        self.run(self.home, f"tar -xzf '{self.archive}'")
        (self.directory,) = [path for path in self.home.iterdir() if path.is_dir()]
        self.readme = (self.directory / "README.txt").read_text()

    def run(self, directory, command):
        path = f"{SCRIPTS}:{REPOSITORY / '.build/release'}:/usr/bin:/bin"
        return subprocess.run(
            ["env", "-i", f"PATH={path}", f"HOME={self.home}", "bash", "-euo", "pipefail", "-c", command],
            cwd=directory, capture_output=True, text=True, timeout=60, umask=0o022)

    def commands(self, start):
        """Those that stand behind a line that begins so, up to the next line of text."""
        (after,) = re.findall(rf"^{re.escape(start)}.*?(?:\n[^ \n].*?)*\n\n((?:  .*\n)+)", self.readme, re.M)
        return after.splitlines()

    def follow(self, command):
        done = self.run(self.directory, command)
        assert done.returncode == 0, (command, done)
        return done.stdout


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "elsewhere")


def try_out(machine, stack):
    """The three commands, as they stand there."""
    sha512 = hashlib.sha512(machine.readme.encode()).hexdigest()
    curl, native, deployed = machine.commands("Try it.")
    assert [words.split()[0] for words in (curl, native, deployed)] == ["curl", "shacache", "networkcache-upload"]
    # Each of them first: the others would find that it is there already.
    for command, output in (curl, f"{sha512}\n"), (native, f"{sha512}\n"), (deployed, ""):
        assert machine.follow(command) == output
        stack.blob_file(sha512).unlink()
    assert machine.follow(curl) == f"{sha512}\n"
    (download,) = machine.commands("Anybody can")
    assert machine.follow(download.replace("SHA-512", sha512)) == machine.readme


def certificates(stack, account):
    return listed(stack, "certificate", "list", account)


def test_a_bundle_works_on_a_clean_machine(closed, account, machine, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "carol")
    done = closed.admin("account", "bundle", account, "--out", machine.archive, "--days", "30")
    assert machine.archive.stat().st_mode & 0o777 == 0o600
    machine.unpack()
    assert machine.directory.name == f"{account}-shacache"
    modes = {path.name: path.stat().st_mode & 0o777 for path in machine.directory.iterdir()}
    assert modes == {
        "README.txt": 0o644, "networkcache.cfg": 0o644, "server-ca.crt": 0o644, f"{account}.crt": 0o644,
        f"{account}.key": 0o600}
    assert machine.directory.stat().st_mode & 0o777 == 0o700
    try_out(machine, closed)
    (row,) = certificates(closed, account)
    assert (row["fingerprint"], row["origin"]) == (fingerprint(machine.directory / f"{account}.crt"), "issued")
    assert Database(closed).run(
        f"SELECT actor, action FROM shacache.audit WHERE subject = '{account}' AND detail LIKE '%{row['fingerprint']}%'"
    ) == [("carol", "certificate add")]
    assert str(machine.archive) in done.stderr


# As it is told: shacache-admin account bundle NAME.
def test_a_bundle_has_a_name_of_its_own_in_the_current_directory(closed, account, tmp_path):
    words = [ADMIN, "account", "bundle", account, "--config", closed.state / "shacache.toml"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and f"wrote {account}-shacache.tar.gz\n" in done.stderr, done
    assert [file.name for file in tmp_path.iterdir()] == [f"{account}-shacache.tar.gz"]


# ToldSite.certificates: nginx takes one file for both, so site.authority may name it.
def test_the_servers_private_key_is_in_no_bundle(closed, account, machine, tmp_path):
    made, tls = (closed.state / "shacache.toml").read_text(), closed.state / "tls"
    authority = Path(re.search(r'(?m)^authority = "(.*)"', made)[1]).read_text()
    (tmp_path / "all.pem").write_text((tls / "server.key").read_text() + authority + (tls / "server.crt").read_text())
    (tmp_path / "own.toml").write_text(re.sub(r"(?m)^authority = .*", f'authority = "{tmp_path}/all.pem"', made))
    done = run("account", "bundle", account, "--out", machine.archive, "--config", tmp_path / "own.toml")
    assert done.returncode == 0, done
    machine.unpack()
    packed = (machine.directory / "server-ca.crt").read_text()
    assert "PRIVATE" not in packed and packed.count("BEGIN CERTIFICATE") == 2 and authority.strip() in packed
    try_out(machine, closed)


# It is appended to: nothing stands behind signature-certificate-list.
@pytest.mark.parametrize("tool", [0, 1])
def test_as_its_readme_says_an_uploader_signs(closed, account, machine, tool):
    closed.admin("account", "bundle", account, "--out", machine.archive)
    machine.unpack()
    machine.follow(machine.commands("Sign.")[tool])
    for command in machine.commands("The second one"):
        machine.follow(command)
    closed.admin("signer", "add", signer := name(), machine.directory / "signature.crt")
    for command in machine.commands("and send signature.crt"):
        machine.follow(command)
    found = machine.follow(f"networkcache-download -c networkcache.cfg -k try:{account}")
    assert found == machine.readme == machine.follow(f"shacache download --config networkcache.cfg --key try:{account}")
    marks = Database(closed).run(
        f"""SELECT signature_result, signer.name FROM shacache.entry JOIN shacache.signer ON signer.id = signer_id
            WHERE key = 'try:{account}'""")
    assert marks == [("verified", signer)] * 2


def test_the_readme_lists_under_a_key_that_the_account_may_use(closed, account, machine):
    closed.admin("account", "set", account, "--key-prefix", "it's:")
    closed.admin("account", "bundle", account, "--out", machine.archive)
    machine.unpack()
    machine.follow(machine.commands("Sign.")[0])
    for command in [*machine.commands("The second one"), *machine.commands("and send signature.crt")]:
        machine.follow(command)
    assert len(closed.entries(f"it's:{account}")) == 2


def test_with_csr_the_key_never_leaves_its_owner(closed, account, machine):
    done = closed.admin("account", "bundle", account, "--out", machine.archive, "--csr")
    machine.unpack()
    files = {path.name for path in machine.directory.iterdir()}
    assert files == {"README.txt", "networkcache.cfg", "server-ca.crt"}
    assert certificates(closed, account) == []
    (make,) = machine.commands("First make the key")
    machine.follow(make)
    assert (machine.directory / f"{account}.key").stat().st_mode & 0o077 == 0
    # As the bundle told its maker.
    (sign,) = re.findall(r"shacache-admin (.*)", done.stderr)
    words = [machine.directory / word if word.startswith(f"{account}.") else word for word in sign.split()]
    closed.admin(*words)
    try_out(machine, closed)
    assert [row["origin"] for row in certificates(closed, account)] == ["signed"]


def test_all_urls_are_the_sites_and_the_systems_authorities_do_without_one(closed, account, machine, tmp_path):
    made = (closed.state / "shacache.toml").read_text()
    own = re.sub(r"(?m)^authority = .*\n", "", made)
    own = re.sub(r'(download|upload)-url = .*', r'\1-url = "https://\1.example.org/a%20b"', own)
    (tmp_path / "own.toml").write_text(own)
    done = run("account", "bundle", account, "--out", machine.archive, "--csr", "--config", tmp_path / "own.toml")
    assert done.returncode == 0, done
    machine.unpack()
    assert not (machine.directory / "server-ca.crt").exists()
    parser = configparser.ConfigParser()
    parser.read(machine.directory / "networkcache.cfg")
    options = dict(parser["networkcache"])
    for direction in "download", "upload":
        for use in "", "binary-":
            for service, path in ("cache", "shacache"), ("dir", "shadir"):
                assert options[f"{direction}-{use}{service}-url"] == f"https://{direction}.example.org/a%20b/{path}"
    assert options["shacache-ca-file"] == options["shadir-ca-file"] == "/etc/ssl/certs/ca-certificates.crt"
    assert "--cacert /etc/ssl/certs/ca-certificates.crt" in machine.readme
    shown = machine.follow("shacache config --config networkcache.cfg")
    assert "https://upload.example.org/a%20b/shadir" in shown


@pytest.mark.parametrize("csr", [[], ["--csr"]])
def test_what_can_not_be_bundled_is_named_and_leaves_nothing(closed, account, machine, tmp_path, csr):
    def refused(*words, who=account, out=machine.archive, config=closed.state / "shacache.toml"):
        assert_refused(run("account", "bundle", who, "--out", out, *csr, "--config", config), *words)

    refused("there is no account nobody", who="nobody")
    closed.admin("account", "disable", account)
    refused("disabled")
    closed.admin("account", "enable", account)
    audited = Database(closed).run("SELECT count(*) FROM shacache.audit")
    refused(tmp_path / "absent", out=tmp_path / "absent/x.tar.gz")
    (taken := tmp_path / "taken").write_text("mine")
    refused(taken, out=taken)
    assert taken.read_text() == "mine"
    made = (closed.state / "shacache.toml").read_text()
    for option in "download-url", "upload-url":
        (tmp_path / "lacking.toml").write_text(re.sub(rf"(?m)^{option} = .*\n", "", made))
        refused(option, "[site]", config=tmp_path / "lacking.toml")
    (tmp_path / "plain.toml").write_text(made.replace('upload-url = "https:', 'upload-url = "http:'))
    refused("upload-url", "HTTP", config=tmp_path / "plain.toml")
    (tmp_path / "absent.toml").write_text(re.sub(r"(?m)^authority = .*", 'authority = "/absent.crt"', made))
    refused("/absent.crt", config=tmp_path / "absent.toml")
    (tmp_path / "key.toml").write_text(re.sub(r"(?m)^authority = .*", f'authority = "{taken}"', made))
    refused("site.authority", taken, config=tmp_path / "key.toml")
    assert not machine.archive.exists()
    assert certificates(closed, account) == []
    assert Database(closed).run("SELECT count(*) FROM shacache.audit") == audited


# AccountCommand.Bundle: the archive is written inside the transaction that records the certificate.
def test_an_archive_that_can_not_be_written_whole_is_removed_and_nothing_is_on_record(closed, account, machine):
    words = [ADMIN, "account", "bundle", account, "--out", machine.archive, "--config", closed.state / "shacache.toml"]
    small = "trap '' XFSZ; ulimit -f 1; exec \"$@\""
    done = subprocess.run(["bash", "-c", small, "bash", *words], capture_output=True, text=True)
    assert_refused(done, "large")
    assert not machine.archive.exists()
    assert certificates(closed, account) == []


# Certificates.handOver in Files.swift: a key and a certificate that are on no record are taken back.
@pytest.mark.parametrize("command", ["bundle", "issue"])
def test_what_was_written_is_removed_when_the_record_fails(closed, account, machine, command):
    Database(closed).run(
        f"""CREATE FUNCTION shacache.fail_{account}() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$;
            CREATE CONSTRAINT TRIGGER fail_{account} AFTER INSERT ON shacache.certificate DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION shacache.fail_{account}();""")
    try:
        words = {"bundle": ("account", "bundle", account, "--out", machine.archive),
                 "issue": ("certificate", "issue", account, "--out", machine.home)}[command]
        assert_refused(closed.admin(*words, check=False), "no")
    finally:
        Database(closed).run(f"DROP FUNCTION shacache.fail_{account} CASCADE")
    assert list(machine.home.iterdir()) == [] and certificates(closed, account) == []
