"""`make install` and the guides: what an operator copies to a server, and what the guides say about it."""

import os
import re
import subprocess

import pytest
from guides import FILES, all_guides, guide
from stack import REPOSITORY

INSTALL = guide("install")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """What `make install` makes."""
    tree = tmp_path_factory.mktemp("install") / "tree"
    subprocess.run(["make", "install", f"DESTDIR={tree}"], cwd=REPOSITORY, check=True, capture_output=True)
    return tree


# Makefile: a directory /lib of ours, copied carelessly, replaces the server's link, and no program there finds its
# libraries any more. The guide's options of tar: --no-overwrite-dir.
def test_copied_to_a_server_it_leaves_what_is_there_as_it_was(tree, tmp_path):
    assert not (tree / "lib").exists()
    server = tmp_path / "server"
    (server / "usr/lib/systemd/system").mkdir(parents=True)
    (server / "lib").symlink_to("usr/lib")
    (server / "etc").mkdir(mode=0o711)
    server.chmod(0o711)
    (command,) = re.findall(r"tar -C /tmp/shacache .*", INSTALL)
    command = command.replace("/tmp/shacache", str(tree)).replace("ssh root@SERVER tar -C /", f"tar -C {server}")
    subprocess.run(command, shell=True, check=True)
    assert os.readlink(server / "lib") == "usr/lib"
    assert [oct(path.stat().st_mode & 0o777) for path in (server, server / "etc")] == ["0o711", "0o711"]
    assert (server / "lib/systemd/system/shacached@.service").is_file()
    assert (server / "usr/share/shacache/page/style.css").is_file()
    assert (server / "usr/local/bin/shacached").stat().st_mode & 0o777 == 0o755


def test_every_installed_file_that_is_named_to_operators_is_there(tree):
    texts = [all_guides(), *((REPOSITORY / name).read_text() for name in ("ops/shacache.toml", "ops/alerts.yml"))]
    for program in "shacached", "shacache-page", "shacache-fetcher", "shacache-admin":
        texts.append(subprocess.run([tree / "usr/local/bin" / program, "--help"], capture_output=True, text=True).stdout)
    named = {name for text in texts for name in re.findall(r"/(?:usr/share(?:/doc)?/shacache|etc/nginx/shacache)/[\w./-]*\w", text)}
    assert {"/usr/share/shacache/shacache.toml", "/usr/share/doc/shacache/alerts.md"} <= named
    # The guides link to each other by their files' names alone.
    named |= {f"/usr/share/doc/shacache/{file.name}" for file in FILES}
    assert [name for name in named if not (tree / name.lstrip("/")).exists()] == []


# Without it, each start of a worker makes the shared sockets block, and others' threads may hang in accept() (systemd.service(5)).
def test_sockets_that_workers_share_never_block(tree):
    for unit in "shacached@.service", "shacache-page.service", "shacache-fetcher.service":
        assert "NonBlocking=yes" in (tree / "usr/lib/systemd/system" / unit).read_text().splitlines()


# Fails when `make install` leaves out timers.
def test_every_unit_that_is_named_to_operators_is_there(tree):
    # Of an instance, NAME@INSTANCE.timer, its template.
    found = re.findall(r"\b(shacache[\w-]*)(@?)[\w-]*\.(service|socket|timer)", all_guides())
    named = {f"{name}{at}.{kind}" for name, at, kind in found}
    assert {"shacached-read.socket", "shacache-maintain.timer", "shacached@.service"} <= named
    assert [name for name in named if not (tree / "usr/lib/systemd/system" / name).is_file()] == []


# Fails without PrivateMounts, or ProcSubset, in a unit. Root's tasks that give files to the store's owner can't be closed further.
@pytest.mark.parametrize("unit", sorted((REPOSITORY / "ops/systemd").glob("*.service")), ids=lambda unit: unit.name)
def test_a_unit_is_as_closed_as_its_work_allows(unit):
    limit = 21 if "CAP_CHOWN" in unit.read_text() else 20
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={limit}", unit], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
