"""`make deb`: what is in the packages, and what they do to a fresh machine from its first installation to its purge."""

import json
import os
import re
import shutil
import subprocess
import threading
import time

import pytest
from machine import Machine
from stack import REPOSITORY, eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root boots another system"),
]

OLD_NAMES = "networkcache-upload", "networkcache-download", "generate-signature-key"
SERVER_PROGRAMS = "shacached", "shacache-page", "shacache-fetcher", "shacache-admin", "shacache-setup"
# What a server has before, so that the machine needs no network. nginx is started, as Debian does.
THERE = ("systemd-sysv", "dbus", "nginx", "postgresql", "postgresql-client", "openssl", "curl", "rsync", "logrotate", "sudo")


def field(package, name):
    return subprocess.run(["dpkg-deb", "--field", package, name], check=True, capture_output=True, text=True).stdout.strip()


def contents(package):
    """{path: mode, as `ls` shows it} of a package's files and links."""
    listed = subprocess.run(["dpkg-deb", "--contents", package], check=True, capture_output=True, text=True).stdout
    lines = [line.split(None, 5) for line in listed.splitlines()]
    return {words[5].split(" -> ")[0].removeprefix("."): words[0] for words in lines if words[0][0] != "d"}


@pytest.fixture(scope="module")
def packages():
    """{name: file} of what `make deb` makes; lintian has taken it."""
    subprocess.run(["make", "deb"], cwd=REPOSITORY, check=True, capture_output=True)
    return {file.name.partition("_")[0]: file for file in (REPOSITORY / ".build/deb").glob("*.deb")}


@pytest.fixture(scope="module")
def machine(packages, tmp_path_factory):
    machine = Machine(tmp_path_factory.mktemp("machine"))
    try:
        machine.make()
        machine.prepare("apt-get", "update")
        machine.prepare("apt-get", "install", "--yes", "--no-install-recommends", *THERE)
        # Debian takes the next one where a server of here has it.
        machine.prepare("sh", "-c", "sed -i 's/^port = .*/port = 5432/' /etc/postgresql/*/main/postgresql.conf")
        for file in packages.values():
            shutil.copy(file, machine.tree / "root")
        # Only what they depend on: they themselves are installed by the machine's own apt.
        machine.prepare("sh", "-c", "apt-get install --yes --no-install-recommends --download-only /root/*.deb")
        machine.start()
        yield machine
    finally:
        machine.stop()


def next_version(package, number, directory, change=lambda tree: None):
    """The same package as a later version, with a change to what is in it."""
    tree = directory / f"next-{number}"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {number}", control.read_text(), flags=re.MULTILINE))
    change(tree)
    file = directory / f"shacache-server_{number}.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", "-Znone", tree, file], check=True, capture_output=True)
    return file


def install(machine, file, check=True):
    shutil.copy(file, machine.tree / "root" / file.name)
    return machine.run("apt-get", "install", "--yes", "--no-install-recommends", f"/root/{file.name}", check=check)


def units(machine, *words):
    return machine.run("systemctl", "list-units", "--plain", "--no-legend", *words, "shacache*").stdout.splitlines()


def pids(machine):
    """{unit: pid} of what serves."""
    names = "shacached@1", "shacached@2", "shacache-page"
    return {name: machine.run("systemctl", "show", "--property=MainPID", "--value", name).stdout.strip() for name in names}


def test_the_packages_have_all_that_make_install_installs(packages, tmp_path):
    subprocess.run(["make", "install", f"DESTDIR={tmp_path}"], cwd=REPOSITORY, check=True, capture_output=True)
    installed = {f"/{file.relative_to(tmp_path)}" for file in tmp_path.rglob("*") if not file.is_dir()}
    expected = {path.replace("/usr/local/", "/usr/").replace("/zsh/site-functions/", "/zsh/vendor-completions/")
                for path in installed} - {f"/usr/bin/{name}" for name in OLD_NAMES}
    packed = {path.removesuffix(".gz") for file in packages.values() for path in contents(file)}
    assert expected - packed == set()
    # Beside them there is what Debian wants of each package.
    assert {path for path in packed - expected if not re.fullmatch(
        r"/usr/share/(doc/[\w-]+/(copyright|changelog)|lintian/overrides/[\w-]+)", path)} == set()


def test_no_file_is_in_both_packages(packages):
    assert set(contents(packages["shacache"])) & set(contents(packages["shacache-server"])) == set()


def test_they_depend_on_what_debian_has_of_their_libraries(packages):
    client, server = (field(packages[name], "Depends") for name in ("shacache", "shacache-server"))
    for library in "libarchive13", "libcurl4", "libssl3":
        assert library in client and library in server
    assert "libpq5" in server and "libfcgi0" in server
    assert "libpq5" not in client and "nginx" not in client


def test_units_and_snippets_know_no_other_place_than_the_packages(packages, tmp_path):
    for name, file in packages.items():
        subprocess.run(["dpkg-deb", "--extract", file, tmp_path / name], check=True)
    for directory in "etc", "usr/lib", "usr/share/shacache":
        for file in (tmp_path / "shacache-server" / directory).rglob("*"):
            assert not file.is_file() or b"/usr/local" not in file.read_bytes(), file


def test_version_and_changelogs_name_the_same_release():
    version = re.search(r'current = "(.*)"', (REPOSITORY / "Sources/ShaCache/Version.swift").read_text())[1]
    assert re.match(r"shacache \(([\d.]+)\)", (REPOSITORY / "debian/changelog").read_text())[1] == version


# From here on, each test goes on with the machine that the one before has left.


def test_installed_they_make_users_and_directories_and_start_nothing(machine, packages):
    done = machine.shell("apt-get install --yes --no-install-recommends /root/*.deb")
    assert "shacache-setup makes a cache of this machine" in done.stdout
    passwd = machine.run("getent", "passwd", "shacache", "shacache-page").stdout.splitlines()
    assert [line.split(":")[5:] for line in passwd] == [
        ["/srv/shacache", "/usr/sbin/nologin"], ["/var/lib/shacache-page", "/usr/sbin/nologin"]]
    modes = machine.run("stat", "--format=%n %U %G %a", "/srv/shacache", "/srv/shacache/incoming", "/var/log/shacache",
                        "/var/lib/shacache-page", "/etc/shacache", "/etc/shacache/tls").stdout.splitlines()
    assert modes == [
        "/srv/shacache shacache shacache 750", "/srv/shacache/incoming shacache shacache 750",
        "/var/log/shacache root shacache 750", "/var/lib/shacache-page shacache-page shacache-page 700",
        "/etc/shacache root root 755", "/etc/shacache/tls root root 755"]
    assert units(machine, "--all") == []
    states = machine.run("systemctl", "list-unit-files", "--no-legend", "shacache*").stdout.splitlines()
    assert len(states) > 20 and not [line for line in states if line.split()[1] not in {"disabled", "static"}]


def test_their_programs_run_under_all_of_their_names(machine):
    for program in "shacache", *SERVER_PROGRAMS, *OLD_NAMES:
        assert "usage" in machine.run(program, "--help").stdout.lower()
    # The program goes by the name that it is called by, through the links of Debian's alternatives.
    assert "networkcache-upload" in machine.run("networkcache-upload", "--help").stdout
    assert machine.run("readlink", "/usr/bin/networkcache-upload").stdout.strip() == "/etc/alternatives/networkcache-upload"


def test_systemd_takes_their_units(machine):
    done = machine.shell("systemd-analyze verify --man=no /usr/lib/systemd/system/shacache*")
    assert done.stdout + done.stderr == ""


SETUP = "shacache-setup", "--name", "Example cache", "--url", "cache.example.org", "--workers", "2"


def made(machine):
    """What setup has changed."""
    files = "/etc/shacache/shacache.toml", "/etc/shacache/ca.crt", "/etc/nginx/conf.d/shacache.conf"
    return [file for file in files if (machine.tree / file[1:]).exists()] + units(machine, "--all")


def refused(machine, *options):
    """The lines of a setup that can't be, and that has changed nothing."""
    done = machine.run(*SETUP, *options, check=False)
    assert done.returncode == 1 and made(machine) == []
    return "".join(line for line in done.stderr.splitlines(keepends=True) if not line.startswith("ok: "))


# Each fails when steps that nobody can bring about aren't looked at first.


@pytest.mark.parametrize("options, problem", [
    (("--database", "nonsense=1"), "database: .*invalid connection option"),
    (("--database", "host=/run/postgresql port=5999 dbname=shacache"), "no cluster of PostgreSQL listens on port 5999"),
    (("--certificate", "/root/none.crt", "--key", "/root/none.key"), "/root/none.crt: no such file"),
    (("--certificate", "/root/other.crt", "--key", "/root/other.key"), "the certificate is not for cache.example.org"),
    (("--certificate", "/root/other.crt", "--key", "/root/given.key"), "the key is not the certificate's"),
])
def test_setup_takes_no_option_that_cannot_be(machine, options, problem):
    for name, host in ("given", "cache.example.org"), ("other", "elsewhere.example.org"):
        make_server_certificate(machine, name, host)
    said = refused(machine, *options)
    assert re.search(problem, said), said
    assert len(said.splitlines()) <= 2


def make_server_certificate(machine, name, host):
    machine.shell(
        f"test -e /root/{name}.crt || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={host} "
        f"-addext subjectAltName=DNS:{host} -addext keyUsage=critical,digitalSignature,keyCertSign -days 9 "
        f"-keyout /root/{name}.key -out /root/{name}.crt")


def test_setup_says_what_listens_on_a_port_that_it_needs(machine):
    listen = "@open = IO::Socket::INET->new(LocalPort => 443, Listen => 1) or die; sleep"
    machine.run("systemd-run", "--unit=taken", "perl", "-MIO::Socket::INET", "-e", listen)
    eventually(lambda: "port 443 is taken by perl (pid " in refused(machine))
    machine.run("systemctl", "stop", "taken")


def test_setup_wants_the_nginx_of_debian(machine):
    status = machine.tree / "var/lib/dpkg/status"
    text = status.read_text()
    status.write_text(text.replace("Debian Nginx Maintainers", "NGINX Packaging").replace("@alioth-lists.debian.net", "@nginx.test"))
    try:
        assert "nginx is not Debian's: its package is of NGINX Packaging" in refused(machine)
    finally:
        status.write_text(text)


def test_setup_wants_room(machine):
    machine.shell("mount -t tmpfs -o size=64k tmpfs /srv/shacache; mkdir /srv/shacache/incoming; "
                  "head -c 64k /dev/zero >/srv/shacache/full || true")
    try:
        assert "room: /srv/shacache: " in refused(machine)
    finally:
        machine.run("umount", "/srv/shacache")


def test_setup_makes_a_cache_of_it(machine):
    said = machine.run(*SETUP).stderr.splitlines()
    assert [line for line in said if not re.match("(ok|done): ", line)] == [
        "the cache is ready; /usr/share/doc/shacache/operate.md goes on from here"]
    assert said[-2].startswith("ok: round trip: uploaded")
    assert machine.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://localhost/-/ready").stdout == "200"
    assert "0" not in pids(machine).values()


def test_setup_done_again_changes_nothing(machine):
    files = ["etc/nginx/nginx.conf", "etc/nginx/conf.d/shacache.conf", "etc/shacache/shacache.toml", "etc/shacache/ca.crt",
             "etc/shacache/tls/server.crt", "etc/shacache/tls/clients-ca.crt"]
    before = [(machine.tree / file).stat().st_mtime_ns for file in files], pids(machine)
    said = machine.run(*SETUP).stderr
    assert "done: " not in said
    assert ([(machine.tree / file).stat().st_mtime_ns for file in files], pids(machine)) == before
    assert "change it there" in machine.run("shacache-setup", "--name", "Another", check=False).stderr


def wrong(machine):
    """{step: what is wrong with it, and what to do}."""
    done = machine.run("shacache-setup", "--check", "--json", check=False)
    rows = {row["step"]: row["detail"] for row in json.loads(done.stdout) if row["state"] == "wrong"}
    assert done.returncode == (1 if rows else 0)
    return rows


@pytest.mark.parametrize("breaking, step, advice, mending", [
    ("systemctl stop shacache-scrub.timer", "timers", "systemctl enable --now shacache-scrub.timer", "shacache-setup"),
    ("systemctl disable --quiet shacache-page", "page", "systemctl enable --now shacache-page", "shacache-setup"),
    ("mv /etc/shacache/tls/server.key /root", "server's certificate", "server.key", "mv /root/server.key /etc/shacache/tls"),
    ("sed -i 's/^user .*/user www-data;/' /etc/nginx/nginx.conf", "nginx", "shacache-setup sets it", "shacache-setup"),
    ("sed -i '/shacache/d' /etc/postgresql/*/main/pg_ident.conf", "access to the database", "shacache-setup", "shacache-setup"),
    ("systemctl stop nginx", "nginx", "systemctl restart nginx", "systemctl start nginx"),
])
def test_a_check_says_what_is_wrong_and_what_to_do(machine, breaking, step, advice, mending):
    assert wrong(machine) == {}
    machine.shell(breaking)
    assert advice in wrong(machine)[step]
    machine.shell(mending)
    assert wrong(machine) == {}


def test_setup_puts_a_given_certificate_in_place(machine):
    options = "--certificate", "/root/given.crt", "--key", "/root/given.key", "--authority", "/root/given.crt"
    assert "set authority = " in machine.run("shacache-setup", *options, check=False).stderr
    machine.shell("sed -i 's#^authority = .*#authority = \"/etc/shacache/tls/server-ca.crt\"#' /etc/shacache/shacache.toml")
    said = machine.run("shacache-setup", *options).stderr
    assert "done: server's certificate" in said and "ok: round trip" in said
    # nginx has it by now: what clients see of it is what was given.
    shown = machine.shell("openssl s_client -connect localhost:443 </dev/null 2>/dev/null | openssl x509").stdout
    assert shown.strip() in (machine.tree / "root/given.crt").read_text()


def test_this_machine_may_upload_without_a_certificate(machine):
    # For what follows.
    site = machine.tree / "etc/nginx/conf.d/shacache.conf"
    site.write_text(site.read_text().replace(
        "geo $shacache_local_writer {", "geo $shacache_local_writer {\n    include shacache/local-writers.conf;"))
    machine.shell("shacache-admin account add local; nginx -t -q && systemctl reload nginx")
    eventually(lambda: machine.shell("echo blob | curl -sS --data-binary @- http://localhost/shacache/").stdout.strip().isalnum())


# Fails without WatchdogSec.
def test_a_worker_that_hangs_is_started_again(machine):
    directory = machine.tree / "etc/systemd/system/shacached@.service.d"
    directory.mkdir()
    # The unit's own minute, in less.
    (directory / "watchdog.conf").write_text("[Service]\nWatchdogSec=20s\n")
    machine.shell("systemctl daemon-reload; systemctl restart shacached@1")
    hanging = pids(machine)["shacached@1"]
    machine.shell(f"kill -STOP {hanging}")
    eventually(lambda: pids(machine)["shacached@1"] not in {"0", hanging}, 120)
    shutil.rmtree(directory)
    machine.shell("systemctl daemon-reload; systemctl restart shacached@1")


# Each with all that its unit forbids: system calls, capabilities, directories. The fetcher has no upstream, and nothing to mirror.
@pytest.mark.parametrize("unit", [
    "shacache-maintain", "shacache-ingest-log", "shacache-survey", "shacache-scrub", "shacache-settle", "shacache-collect",
    "shacache-backup"])
def test_a_task_may_do_what_it_does(machine, unit):
    (machine.tree / "etc/shacache/backup.conf").write_text("SHACACHE_BACKUP=/srv/shacache-backup\n")
    machine.shell("mkdir -p /srv/shacache-backup; echo blob >/tmp/blob; "
                  "curl -sS --fail --data-binary @/tmp/blob http://localhost/shacache/")
    machine.run("systemctl", "restart", unit)
    assert machine.run("systemctl", "show", "--property=Result", "--value", unit).stdout == "success\n"
    assert not re.search("refused|denied|not permitted", machine.run("journalctl", "--unit", unit).stdout)


class Load:
    """Uploads and downloads from the machine itself, while its context lasts; `answers` are those of HTTP."""

    def __init__(self, machine):
        self._machine, self._ended, self.answers = machine, threading.Event(), []
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        # A new blob, and the same one back.
        script = ("head -c 1000 /dev/urandom >/tmp/blob; code='%{http_code}\\n'; "
                  "curl -sS -o /tmp/digest -w $code --data-binary @/tmp/blob http://localhost/shacache/; "
                  "curl -sS -o /dev/null -w $code http://localhost/shacache/$(cat /tmp/digest); "
                  "curl -sS -o /dev/null -w $code http://localhost/")
        while not self._ended.is_set():
            self.answers += self._machine.run("sh", "-c", script, check=False).stdout.split()
            time.sleep(0.02)

    def __enter__(self):
        self._thread.start()
        eventually(lambda: len(self.answers) > 30)
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()


def test_an_upgrade_restarts_what_runs_and_no_request_fails(machine, packages, tmp_path):
    before = pids(machine)
    machine.shell("sudo -u postgres psql -c 'ALTER ROLE shacache_worker SET synchronous_commit = remote_apply'")
    with Load(machine) as load:
        done = install(machine, next_version(packages["shacache-server"], "1.0", tmp_path))
        answered = len(load.answers)
        eventually(lambda: len(load.answers) > answered + 30)
    assert set(load.answers) == {"200", "201"}
    after = pids(machine)
    assert "0" not in after.values() and not set(before.values()) & set(after.values())
    assert "restarts shacached@1.service" in done.stdout
    # roles.sql leaves what somebody made stricter.
    assert "remote_apply" in machine.shell("sudo -u postgres psql -c '\\drds shacache_worker'").stdout
    # What didn't run isn't started.
    assert not [line for line in units(machine, "--state=active") if "fetcher" in line]


# Fails when the script restarts before it migrates.
def test_an_upgrade_whose_migration_fails_leaves_the_old_version_serving(machine, packages, tmp_path):
    def break_migration(tree):
        sql = tree / "usr/share/shacache/sql"
        newest = max(int(file.name.partition("_")[0]) for file in sql.glob("[0-9]*.sql"))
        (sql / f"{newest + 1:04}_broken.sql").write_text("SELECT 1 / 0;\n")

    before = pids(machine)
    broken = next_version(packages["shacache-server"], "2.0", tmp_path, break_migration)
    with Load(machine) as load:
        done = install(machine, broken, check=False)
    assert done.returncode != 0
    assert "division by zero" in done.stdout + done.stderr, done.stdout + done.stderr
    assert "the database isn't migrated; the old version goes on serving" in done.stdout + done.stderr
    assert set(load.answers) == {"200", "201"} and pids(machine) == before
    # The next one mends it.
    install(machine, next_version(packages["shacache-server"], "2.1", tmp_path))
    assert not set(before.values()) & set(pids(machine).values())


# Fails when the script doesn't ask nginx before it reloads it.
def test_an_upgrade_that_nginx_refuses_restarts_nothing(machine, packages, tmp_path):
    site = machine.tree / "etc/nginx/conf.d/shacache.conf"
    text, before = site.read_text(), pids(machine)
    site.write_text(text + "not_a_directive;\n")
    done = install(machine, next_version(packages["shacache-server"], "3.0", tmp_path), check=False)
    assert done.returncode != 0 and "compare the site with" in done.stdout + done.stderr
    assert pids(machine) == before
    # As an operator goes on.
    site.write_text(text)
    machine.run("dpkg", "--configure", "--pending")
    assert not set(before.values()) & set(pids(machine).values())


def test_removed_it_stops_what_ran_and_keeps_data_and_configuration(machine):
    kept = "/etc/shacache/shacache.toml", "/etc/shacache/ca.key", "/etc/nginx/conf.d/shacache.conf", "/srv/shacache/blobs"
    machine.run("apt-get", "remove", "--yes", "shacache-server")
    assert units(machine, "--state=active") == []
    machine.run("ls", *kept)
    machine.run("nginx", "-t")


def test_purged_it_says_where_the_data_is_and_nginx_still_starts(machine):
    done = machine.run("apt-get", "purge", "--yes", "shacache-server")
    for kept in "blobs and journal, in /srv/shacache", "keys, in /etc/shacache", "database shacache":
        assert re.search(f"shacache: kept: .*{kept}", done.stdout)
    machine.run("ls", "/srv/shacache/blobs", "/etc/shacache/ca.key", "/etc/shacache/tls/server.key")
    left = machine.shell("ls -d /etc/nginx/shacache /etc/shacache/shacache.toml /etc/logrotate.d/shacache /var/log/shacache "
                         "/var/lib/shacache-page /etc/systemd/system/*.wants/shacache* 2>/dev/null || true").stdout
    assert left == ""
    machine.shell("nginx -t && systemctl restart nginx")
    assert "shacache" in machine.run("sudo", "-u", "postgres", "psql", "-lqt").stdout


def test_installed_and_purged_unused_it_leaves_no_directory(machine, packages):
    machine.shell("sudo -u postgres dropdb shacache; rm -r /srv/shacache /srv/shacache-backup /etc/shacache")
    install(machine, packages["shacache-server"])
    assert "shacache: kept" not in machine.run("apt-get", "purge", "--yes", "shacache", "shacache-server").stdout
    assert machine.shell("ls -d /srv/shacache /etc/shacache /usr/share/shacache 2>/dev/null || true").stdout == ""
    assert machine.shell("ls /usr/bin/networkcache-upload /etc/alternatives/networkcache-upload 2>/dev/null || true").stdout == ""
