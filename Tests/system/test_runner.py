"""What `make run` makes of what it is told, and of a machine where something is in its way."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import processes
import pytest
from stack import REPOSITORY, Stack

SOMEBODY = "www-data"  # is there wherever nginx is


def refusal(stack, seconds=60):
    """The one line, and perhaps a hint, with which a start ends that can't succeed; nothing of it is left running."""
    already = processes.of(stack)
    stack.output.unlink(missing_ok=True)
    stack.launch()
    assert stack.runner.wait(seconds) != 0
    lines = stack.output.read_text().splitlines()
    assert lines[0].startswith("shacache: ") and not lines[0].startswith("shacache: hint: "), lines
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("shacache: hint: ")), lines
    assert processes.of(stack) == already
    return lines[0]


@pytest.fixture
def unstarted(tmp_path):
    return Stack(tmp_path / "stack")


@pytest.mark.parametrize("name", ["HTTP_PORT", "HTTPS_PORT"])
def test_a_port_in_use_ends_it(name, unstarted):
    # Fails without check_ports (ops/runner/nginx.py): nginx would fail five times and leave a page of log.
    with socket.create_server(("127.0.0.1", int(unstarted.settings[name]))):
        assert re.match(f"shacache: {name} {unstarted.settings[name]}: .*in use", refusal(unstarted))


def test_a_state_that_cannot_be_written_to_ends_it(unstarted):
    # Fails without the `except OSError` in State.locked.
    unstarted.state.write_text("in the way")
    assert f"{unstarted.state}: can't be written to" in refusal(unstarted)


@pytest.mark.parametrize("tool", ["openssl", "setpriv"])
def test_a_missing_tool_ends_it(tool, unstarted, tmp_path):
    # Fails without check_tools (ops/runner/serve.py).
    programs = tmp_path / "programs"
    programs.mkdir()
    for other in {"openssl", "setpriv", "sh"} - {tool}:
        (programs / other).symlink_to(shutil.which(other))
    unstarted.settings["PATH"] = str(programs)
    assert refusal(unstarted).startswith(f"shacache: {tool}: not found")


def test_a_database_of_a_release_that_is_not_installed_ends_it(unstarted):
    # Fails without the look at PG_VERSION in find_postgres (ops/runner/postgresql.py): after an upgrade of Debian the newest
    # PostgreSQL would say that it can't read the cluster, five times, in a log.
    pgdata = unstarted.state / "pgdata"
    pgdata.mkdir(parents=True)
    (pgdata / "PG_VERSION").write_text("9.6\n")
    assert refusal(unstarted) == f"shacache: {pgdata}: made by PostgreSQL 9.6, which is not installed"


def test_its_database_is_reached_where_the_machines_own_has_another_port(stack):
    # Fails without the port in write_environment (ops/runner/welcome.py). On Debian, psql sets PGPORT.
    for name in "DATABASE_URL", "REPORT_DATABASE_URL":
        subprocess.run(["psql", "-XAtc", "SELECT 1", stack.env[name]], env={**os.environ, "PGPORT": "5433"}, check=True)


def test_a_missing_worker_ends_it(unstarted, tmp_path):
    # Fails without check_tools (ops/runner/serve.py).
    unstarted.settings["BIN"] = str(tmp_path)
    assert "shacached: not found" in refusal(unstarted)


@pytest.mark.parametrize("name, value", [("WORKERS", "0"), ("HTTP_PORT", "http"), ("HTTPS_PORT", "70000"), ("DIRECT", "yes")])
def test_a_setting_that_makes_no_sense_ends_it(name, value, unstarted):
    # Fails without Settings.read.
    unstarted.settings[name] = value
    assert refusal(unstarted).startswith(f"shacache: {name}={value}: ")


def test_a_second_run_on_the_same_state_ends_and_leaves_the_first_one_alone(start):
    # Fails without State.locked.
    first = start(WORKERS="1")
    second = Stack(first.state.parent)
    second.output = first.output.with_name("second")
    assert f"{first.state}: in use by another run (pid {first.runner.pid})" in refusal(second)
    assert first.request("GET", "/-/ready")[0] == 200
    assert (first.state / "env").exists()


def test_a_service_that_cannot_start_ends_all_of_it_and_says_why(start):
    # Fails without the limit in Supervisor.revive, or when `serve` doesn't stop what it started.
    stack = start(WORKERS="1")
    stack.stop()
    stack.output.unlink()
    with open(stack.state / "pgdata/postgresql.conf", "a") as configuration:
        configuration.write("no such thing\n")
    stack.launch()
    assert stack.runner.wait(60) == 1
    text = stack.output.read_text()
    assert "shacache: postgres" in text and "syntax error" in text and "Traceback" not in text
    assert processes.of(stack) == []
    assert not (stack.state / "env").exists()


def test_checking_the_configuration_of_nginx_as_root_takes_the_spool_from_nobody(start):
    # Fails without `user` in MAIN (ops/runner/nginx.py): nginx then gives its directories to `nobody`.
    if os.getuid() != 0:
        pytest.skip("only root's nginx gives directories away")
    stack = start(WORKERS="1")
    main = stack.state / "nginx/nginx.conf"
    subprocess.run(["/usr/sbin/nginx", "-t", "-q", "-e", "stderr", "-p", main.parent, "-c", main], check=True)
    assert stack.request("POST", "/shacache", os.urandom(300_000), context=stack.tls())[0] == 201


def test_ports_workers_and_state_are_those_that_were_asked_for(start):
    # Fails when Settings, write_site or the loop over workers in serve.py take others.
    stack = start(WORKERS="3")
    assert f":{stack.settings['HTTP_PORT']}/" in stack.env["SHACACHE_URL"]
    assert f":{stack.settings['HTTPS_PORT']}/" in stack.env["UPLOAD_SHADIR_URL"]
    assert stack.request("GET", "/-/live")[0] == 200
    assert stack.request("POST", "/shacache", b"", context=stack.tls())[0] == 201
    names = {path.stem for path in (stack.state / "run").glob("*.pid")}
    assert names == {"nginx", "page", "postgres", "worker-1", "worker-2", "worker-3"}
    for worker in ("worker-1", "worker-2", "worker-3"):
        assert Path(f"/proc/{stack.pid(worker)}/comm").read_text().strip() == "shacached"
    for name in ("CA_FILE", "CLIENT_CERT", "CLIENT_KEY", "SIGN_KEY", "SIGN_CERT", "STORE_DIR", "PGDATA"):
        path = Path(stack.env[name])
        assert path.exists() and stack.state in path.parents, name
    assert stack.stop() == 0
    assert not (stack.state / "env").exists()
    assert processes.of(stack) == []


@pytest.fixture
def somebody():
    """The words that run something as an ordinary user, and a directory of that user's."""
    if os.getuid() != 0:
        pytest.skip("as an ordinary user, all the other tests are this one")
    words = ["setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--init-groups", "--"]
    if subprocess.run([*words, "test", "-x", REPOSITORY / "ops/run"]).returncode != 0:
        pytest.skip(f"{SOMEBODY} can't enter the directory of this repository")
    with tempfile.TemporaryDirectory() as directory:
        shutil.chown(directory, SOMEBODY, SOMEBODY)
        yield words, Path(directory)


def test_an_ordinary_user_runs_it_too(somebody):
    # Fails without Users.of_this_run, which gives everything to one user then.
    words, directory = somebody
    stack = Stack(directory)
    stack.prefix = words
    with stack:
        assert {os.stat(f"/proc/{pid}").st_uid for pid in processes.of(stack)} == {directory.stat().st_uid}
        processes.fresh_worker(stack)
        processes.send(stack, "postgres")
        body = os.urandom(1000)
        status, _, digest = stack.request("POST", "/shacache", body, context=stack.tls())
        assert status == 201
        assert stack.request("GET", f"/shacache/{digest.decode()}")[2] == body
    assert stack.runner.returncode == 0
    assert processes.of(stack) == []


def test_an_ordinary_user_is_refused_a_directory_of_somebody_else(somebody):
    # Fails without the `except OSError` in State.locked.
    words, directory = somebody
    closed = directory / "closed"
    closed.mkdir(mode=0o755)
    stack = Stack(closed)
    stack.prefix = words
    assert f"{stack.state}: can't be written to: permission denied" in refusal(stack)
